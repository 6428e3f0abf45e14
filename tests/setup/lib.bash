# Helpers of the tests of tools/setup. The tests change nothing on the machine: they run as an ordinary user where
# something could be installed, unpack into a temporary folder, and show apt and dpkg edited copies of the package
# database.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
chmod 755 "$temporary"

# A copy, as the user nobody may not be allowed into this checkout.
mkdir -p "$temporary/checkout/tools"
cp "$here/../../tools/setup" "$temporary/checkout/tools/setup"
# shellcheck disable=SC2034 # for the tests
setup=$temporary/checkout/tools/setup

passed=0 failed=0

# Runs the function whose name is made from the test's name: a_module_loads tests "a module loads".
check() {
  local log=$temporary/log status=0
  # In a subshell and not as a condition, so that the first command that fails ends the test.
  set +e
  (
    set -e
    "${1// /_}"
  ) >"$log" 2>&1
  status=$?
  set -e
  if ((status == 0)); then
    printf 'ok - %s\n' "$1"
    passed=$((passed + 1))
  else
    printf 'not ok - %s\n' "$1"
    sed 's/^/    /' "$log"
    failed=$((failed + 1))
  fi
}

# Ends the script with a status for the results of its tests.
finish() {
  ((failed == 0 && passed > 0)) || exit 1
  exit 0
}

# Runs a command with its output in $output and its exit status in $status.
run() {
  status=0
  output=$("$@" 2>&1) || status=$?
  printf '$ %s\n%s\n(exit status %d)\n' "$*" "$output" "$status"
}

expect_status() {
  ((status == $1)) || { echo "expected exit status $1" && return 1; }
}

expect_output() {
  [[ $output == *"$1"* ]] || { echo "expected in the output: $1" && return 1; }
}

expect_no_output() {
  [[ $output != *"$1"* ]] || { echo "not expected in the output: $1" && return 1; }
}

# Runs a command as a user that cannot become root: not root, and without sudo in its path.
without_root() {
  if [[ ! -d $temporary/no-sudo ]]; then
    mkdir "$temporary/no-sudo"
    ln -s /usr/bin/* /usr/sbin/* "$temporary/no-sudo/" 2>/dev/null || true
    rm -f "$temporary/no-sudo/sudo"
  fi
  local as=()
  if ((EUID == 0)); then as=(setpriv --reuid=nobody --regid=nogroup --clear-groups); fi
  # apt needs a home and a working folder, and the user nobody has neither.
  (cd "$temporary" && "${as[@]}" env PATH="$temporary/no-sudo" HOME="$temporary" "$@")
}

# A new folder that an ordinary user may write to.
new_folder() {
  local folder
  folder=$(mktemp -d "$temporary/folder.XXXXXX")
  if ((EUID == 0)); then chown nobody "$folder"; fi
  chmod 755 "$folder"
  echo "$folder"
}

# database FOLDER [-without REGEX]... [-with "FIELD: VALUE\n..."]...: copies the package database, without the packages
# of these names and with others added as installed. with_database runs a command with it.
database() {
  local folder=$1 without="" stanzas=""
  shift
  while (($#)); do
    case $1 in
      -without) without+="|$2" ;;
      -with) stanzas+="$2"$'\nStatus: install ok installed\nMaintainer: none\nDescription: made up for a test\n\n' ;;
    esac
    shift 2
  done
  mkdir -p "$folder/info" "$folder/updates"
  awk -v without="^(${without#|})$" 'BEGIN { RS = ""; ORS = "\n\n" } $2 !~ without' \
    /var/lib/dpkg/status >"$folder/status"
  printf '%b' "$stanzas" >>"$folder/status"
  cat "$temporary/apt.conf" - >"$folder/apt.conf" <<<"Dir::State::status \"$folder/status\";"
  chmod -R a+rX "$folder"
}

# For -without: all packages that Debian builds from Node.js, and packages that depend on them.
# shellcheck disable=SC2034 # for the tests
nodejs_and_v8='nodejs|libnode-dev|libnode108|node-.*'

with_database() {
  local folder=$1
  shift
  DPKG_ADMINDIR=$folder APT_CONFIG=$folder/apt.conf "$@"
}

# Machines that are built in layers often have no lists of packages; then use our own lists.
: >"$temporary/apt.conf"
if ! apt-get download --print-uris libnode-dev >/dev/null 2>&1; then
  mkdir -p "$temporary/lists/partial" "$temporary/cache/archives/partial"
  cat >"$temporary/apt.conf" <<APT
Dir::State::lists "$temporary/lists";
Dir::Cache "$temporary/cache";
APT
  APT_CONFIG=$temporary/apt.conf apt-get update -o APT::Sandbox::User=root >/dev/null
  chmod -R a+rX "$temporary/lists"
fi
export APT_CONFIG=$temporary/apt.conf
