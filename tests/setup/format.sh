#!/bin/bash
# Tests what tools/format says of files, and what it changes.
# shellcheck disable=SC2317 # the tests are called by name, from check
# shellcheck source-path=SCRIPTDIR source=lib.bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

format=$here/../../tools/format
good=$temporary/good.cc bad=$temporary/bad.cc
cp "$here/../../.clang-format" "$temporary"
printf 'int main() { return 0; }\n' >"$good"

make_bad() { printf 'int main(){return 0;}\n' >"$bad"; }

a_file_that_is_formatted_is_not_listed() {
  run "$format" --check "$good"
  expect_status 0
  [[ -z $output ]]
}

check_lists_a_file_that_differs_and_changes_nothing() {
  make_bad
  run "$format" --check "$good" "$bad"
  expect_status 1
  expect_output "$bad"
  expect_output "these files (1) are not formatted; run tools/format"
  expect_no_output "$good"
  [[ $(<"$bad") == "int main(){return 0;}" ]]
}

without_check_a_file_is_formatted() {
  make_bad
  run "$format" "$bad"
  expect_status 0
  cmp "$good" "$bad"
}

a_file_that_is_not_there_is_a_mistake() {
  run "$format" --check "$temporary/nosuch.cc"
  expect_status 2
}

an_unknown_option_is_refused() {
  run "$format" --guess
  expect_status 2
  expect_output "Usage:"
}

check "a file that is formatted is not listed"
check "check lists a file that differs and changes nothing"
check "without check a file is formatted"
check "a file that is not there is a mistake"
check "an unknown option is refused"
finish
