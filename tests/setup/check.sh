#!/bin/bash
# Tests what tools/setup reports on a machine that has, or lacks, what the project needs.
# shellcheck disable=SC2317 # the tests are called by name, from check
# shellcheck source-path=SCRIPTDIR source=lib.bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

# tools/test has run tools/setup, so this checkout has everything.
real_setup=$here/../../tools/setup

where_all_is_in_place_check_says_so() {
  run "$real_setup" --check
  expect_status 0
  expect_output "all is in place"
  expect_output "V8: "
}

where_all_is_in_place_a_run_asks_apt_for_nothing() {
  local shim=$temporary/shim
  mkdir "$shim"
  cat >"$shim/apt-get" <<SHIM
#!/bin/sh
echo "apt-get \$*" >>"$shim/calls"
exec "$(command -v apt-get)" "\$@"
SHIM
  chmod 755 "$shim/apt-get"
  PATH="$shim:$PATH" run "$real_setup"
  expect_status 0
  [[ ! -e $shim/calls ]] || { cat "$shim/calls" && return 1; }
}

check_names_exactly_the_packages_that_are_missing() {
  database "$temporary/lacking" -without mold -without libcapnp-dev
  run with_database "$temporary/lacking" "$real_setup" --check
  expect_status 1
  grep -qx '  apt-get update && apt-get install --no-install-recommends mold libcapnp-dev' <<<"$output"
}

a_package_of_another_architecture_does_not_count() {
  database "$temporary/foreign" -without mold \
    -with 'Package: mold\nArchitecture: s390x\nMulti-Arch: same\nVersion: 1.10.1'
  run with_database "$temporary/foreign" "$real_setup" --check
  expect_status 1
  expect_output "--no-install-recommends mold"
}

without_root_or_sudo_a_run_lists_what_is_missing_and_changes_nothing() {
  local folder
  folder=$(new_folder)
  database "$temporary/lacking2" -without mold -without "$nodejs_and_v8"
  run with_database "$temporary/lacking2" without_root "$setup" --deps "$folder"
  expect_status 1
  expect_output "neither root nor sudo"
  grep -qx '  apt-get update && apt-get install --no-install-recommends mold libnode-dev' <<<"$output"
  [[ -z $(ls -A "$folder") ]]
}

an_unknown_option_is_refused() {
  run "$setup" --v8=guess
  expect_status 2
  expect_output "Usage:"
}

help_is_help() {
  run "$setup" --help
  expect_status 0
  expect_output "--check"
}

check "where all is in place check says so"
check "where all is in place a run asks apt for nothing"
check "check names exactly the packages that are missing"
check "a package of another architecture does not count"
check "without root or sudo a run lists what is missing and changes nothing"
check "an unknown option is refused"
check "help is help"
finish
