#!/bin/sh
# Writes the JavaScript files named after the output as one C++ source: a table of name and text. They must be ASCII: V8
# reads them where they are, a byte a character.
# usage: embed.sh OUTPUT FILE...
set -eu
output=$1
shift
if LC_ALL=C grep -n '[^	 -~]' "$@" >&2; then
  echo "embed.sh: that is not ASCII" >&2
  exit 1
fi
{
  echo '#include "worker/v8/runtime_source.h"'
  echo 'namespace holdfast::worker {'
  echo 'std::span<const RuntimeSource> runtime_sources() {'
  index=0
  for file in "$@"; do
    printf 'static constexpr char kText%d[] = R"holdfast_js(' "$index"
    cat "$file"
    printf ')holdfast_js";\n'
    index=$((index + 1))
  done
  echo '  static constexpr RuntimeSource kSources[] = {'
  index=0
  for file in "$@"; do
    printf '    {"holdfast:%s", {kText%d, sizeof kText%d - 1}},\n' "$(basename "$file")" "$index" "$index"
    index=$((index + 1))
  done
  echo '  };'
  echo '  return kSources;'
  echo '}'
  echo '}  // namespace holdfast::worker'
} > "$output"
