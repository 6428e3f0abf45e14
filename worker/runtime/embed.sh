#!/bin/sh
# Writes the JavaScript files named after the output as one C++ source: a table of name and text.
# usage: embed.sh OUTPUT FILE...
set -eu
output=$1
shift
{
  echo '#include "worker/runtime_source.h"'
  echo 'namespace holdfast::worker {'
  echo 'std::span<const RuntimeSource> runtime_sources() {'
  echo '  static constexpr RuntimeSource kSources[] = {'
  for file in "$@"; do
    printf '    {"holdfast:%s", R"holdfast_js(' "$(basename "$file")"
    cat "$file"
    printf ')holdfast_js"},\n'
  done
  echo '  };'
  echo '  return kSources;'
  echo '}'
  echo '}  // namespace holdfast::worker'
} > "$output"
