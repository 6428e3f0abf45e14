#!/bin/bash
# Tests that tools/setup unpacks a V8 with which programs build and run, and when it unpacks again.
# shellcheck disable=SC2317 # the tests are called by name, from check
# shellcheck source-path=SCRIPTDIR source=lib.bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

# The tests below build on each other, as the download takes most of the time.
deps=$(new_folder)

unpacking_needs_no_root_and_leaves_headers_and_library() {
  run without_root "$setup" --v8=unpack --deps "$deps"
  expect_status 0
  expect_output "unpacked into $deps/root, because --v8=unpack asks for it"
  [[ -e $deps/root/usr/include/nodejs/deps/v8/include/v8.h ]]
  [[ -e $(echo "$deps"/root/usr/lib/*/libnode.so) ]]
  [[ $(find "$deps" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | paste -sd ' ') == "lock root" ]]
}

a_program_builds_and_runs_with_the_unpacked_V8() {
  local library
  library=$(dirname "$deps"/root/usr/lib/*/libnode.so)
  cat >"$temporary/hello.cc" <<'CPP'
#include <libplatform/libplatform.h>
#include <v8.h>

#include <cstdio>

int main() {
  auto platform = v8::platform::NewSingleThreadedDefaultPlatform();
  v8::V8::InitializePlatform(platform.get());
  v8::V8::Initialize();
  v8::Isolate::CreateParams params;
  params.array_buffer_allocator = v8::ArrayBuffer::Allocator::NewDefaultAllocator();
  v8::Isolate* isolate = v8::Isolate::New(params);
  v8::Isolate::Scope isolate_scope(isolate);
  v8::HandleScope handles(isolate);
  v8::Local<v8::Context> context = v8::Context::New(isolate);
  v8::Context::Scope context_scope(context);
  v8::Local<v8::String> source = v8::String::NewFromUtf8Literal(isolate, "40 + 2");
  v8::Local<v8::Value> answer = v8::Script::Compile(context, source).ToLocalChecked()->Run(context).ToLocalChecked();
  std::printf("%d from V8 %s\n", answer->Int32Value(context).FromJust(), v8::V8::GetVersion());
}
CPP
  run g++ -std=c++20 -isystem "$deps/root/usr/include/nodejs/deps/v8/include" \
    "$temporary/hello.cc" -o "$temporary/hello" -L "$library" -Wl,-rpath,"$library" -lnode
  expect_status 0
  run "$temporary/hello"
  expect_status 0
  expect_output "42 from V8 10.2"
  run ldd "$temporary/hello"
  expect_output "$library/libnode.so.108"
}

a_second_run_leaves_the_unpacked_V8_alone() {
  local before
  before=$(stat -c %i "$deps/root")
  run without_root "$setup" --v8=unpack --deps "$deps"
  expect_status 0
  expect_output "all is in place"
  [[ $(stat -c %i "$deps/root") == "$before" ]]
}

an_unpacked_V8_without_its_library_counts_as_missing() {
  mv "$deps"/root/usr/lib/*/libnode.so.108 "$temporary/"
  run "$setup" --check --v8=unpack --deps "$deps"
  expect_status 1
  expect_output "V8 missing"
}

an_unpacked_V8_that_is_older_than_apts_is_replaced() {
  mv "$temporary/libnode.so.108" "$deps"/root/usr/lib/*/
  echo 18.13.0+dfsg1-1 >"$deps/root/.version"
  touch -d 2020-01-01 "$deps/root/.version"
  run "$setup" --check --v8=unpack --deps "$deps"
  expect_status 1
  expect_output "V8 outdated"
  run without_root "$setup" --v8=unpack --deps "$deps"
  expect_status 0
  expect_output "because 18.13.0+dfsg1-1 there is older than apt's 18."
  [[ $(cat "$deps/root/.version") != 18.13.0* ]]
}

check "unpacking needs no root and leaves headers and library"
check "a program builds and runs with the unpacked V8"
check "a second run leaves the unpacked V8 alone"
check "an unpacked V8 without its library counts as missing"
check "an unpacked V8 that is older than apts is replaced"
finish
