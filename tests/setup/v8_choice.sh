#!/bin/bash
# Tests which source of V8 tools/setup chooses, and why, with the real apt and edited copies of its package database.
# shellcheck disable=SC2317 # the tests are called by name, from check
# shellcheck source-path=SCRIPTDIR source=lib.bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

native=$(dpkg --print-architecture)
foreign_nodejs="Package: nodejs\nArchitecture: $native\nVersion: 20.20.2-1nodesource1"
empty=$(new_folder)

on_Debian_alone_V8_comes_through_apt() {
  database "$temporary/plain" -without "$nodejs_and_v8"
  run with_database "$temporary/plain" "$setup" --check --deps "$empty"
  expect_status 1
  expect_output "libnode-dev"
  expect_output "to be installed through apt, because apt can install libnode-dev"
}

where_a_foreign_nodejs_blocks_apt_V8_is_unpacked() {
  database "$temporary/blocked" -without "$nodejs_and_v8" -with "$foreign_nodejs"
  run with_database "$temporary/blocked" "$setup" --check --deps "$empty"
  expect_status 1
  expect_output "to be unpacked into $empty/root by tools/setup, because nodejs 20.20.2-1nodesource1 blocks libnode-dev"
  expect_no_output "--no-install-recommends libnode-dev"
}

V8_is_unpacked_where_apt_would_remove_something_for_it() {
  database "$temporary/removal" -without "$nodejs_and_v8" \
    -with "Package: other-runtime\nArchitecture: $native\nVersion: 1\nConflicts: libnode108"
  run with_database "$temporary/removal" "$setup" --check --deps "$empty"
  expect_output "to be unpacked into $empty/root by tools/setup, because libnode-dev would remove other-runtime"
}

V8_is_unpacked_where_apt_would_downgrade_something_for_it() {
  database "$temporary/downgrade" -without "$nodejs_and_v8" -with "$foreign_nodejs"
  printf 'Package: nodejs\nPin: release o=Debian\nPin-Priority: 1001\n' >"$temporary/downgrade/preferences"
  echo "Dir::Etc::preferences \"$temporary/downgrade/preferences\"; Dir::Etc::preferencesparts \"/nonexistent\";" \
    >>"$temporary/downgrade/apt.conf"
  run with_database "$temporary/downgrade" "$setup" --check --deps "$empty"
  expect_output "because libnode-dev would replace nodejs 20.20.2-1nodesource1 by 18"
}

where_apts_lists_are_empty_nothing_is_promised() {
  database "$temporary/listless" -without "$nodejs_and_v8"
  mkdir -p "$temporary/no-lists/partial"
  echo "Dir::State::lists \"$temporary/no-lists\";" >>"$temporary/listless/apt.conf"
  run with_database "$temporary/listless" "$setup" --check --deps "$empty"
  expect_status 1
  expect_output "V8 missing; apt does not know libnode-dev"
}

a_forced_way_is_taken_whatever_apt_says() {
  database "$temporary/blocked2" -without "$nodejs_and_v8" -with "$foreign_nodejs"
  run with_database "$temporary/blocked2" "$setup" --check --v8=apt --deps "$empty"
  expect_output "to be installed through apt, because --v8=apt asks for it"
}

check "on Debian alone V8 comes through apt"
check "where a foreign nodejs blocks apt V8 is unpacked"
check "V8 is unpacked where apt would remove something for it"
check "V8 is unpacked where apt would downgrade something for it"
check "where apts lists are empty nothing is promised"
check "a forced way is taken whatever apt says"
finish
