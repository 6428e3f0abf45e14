// V8 and its libraries would make some choices by the processor, the kernel or the environment. These choices are
// pinned (worker/v8/pinned_choices.h), so WebAssembly works in the locked worker whatever the processor offers.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>

#include "tests/support/as_nobody.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// A WebAssembly module that is compiled, called until it is optimized, grown, and trapped.
constexpr const char* kLife = R"js('use strict';
const text = (s) => [...s].map((c) => c.charCodeAt(0));
const section = (id, ...parts) => { const bytes = parts.flat(Infinity); return [id, bytes.length, ...bytes]; };
const body = (...bytes) => [bytes.length, ...bytes];
const named = (name, kind, index) => [name.length, text(name), kind, index];
const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0,
  ...section(1, 3, [96, 2, 127, 127, 1, 127], [96, 0, 0], [96, 1, 127, 1, 127]),
  ...section(3, 4, 0, 1, 2, 2),
  ...section(5, 1, 1, 1, 16),
  ...section(7, 5, named('add', 0, 0), named('trap', 0, 1), named('sum', 0, 2), named('grow', 0, 3), named('memory', 2, 0)),
  ...section(10, 4,
    body(0, 32, 0, 32, 1, 106, 11),
    body(0, 0, 11),
    body(1, 1, 127, 3, 64, 32, 1, 32, 0, 106, 33, 1, 32, 0, 65, 1, 107, 34, 0, 13, 0, 11, 32, 1, 11),
    body(0, 32, 0, 64, 0, 11)),
]);
exports.live = async () => {
  const { instance } = await WebAssembly.instantiate(bytes);
  const { add, trap, sum, grow, memory } = instance.exports;
  const told = [add(2, 3), sum(10)];
  for (let i = 0; i < 20000; i++) add(i, i);
  for (let i = 0; i < 2000; i++) sum(1000);
  told.push(grow(3), memory.buffer.byteLength >> 16);
  for (let i = 0; i < 2; i++) { try { trap(); } catch (error) { told.push(error.message); } }
  for (let i = 0; i < 20; i++) new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.sum(1000);
  const compiled = await WebAssembly.compile(bytes);
  told.push(new WebAssembly.Instance(compiled).exports.add(1, 2));
  return told.join(' ');
};
exports.work = async () => {
  const kept = [];
  for (let i = 0; i < 50; i++) kept.push(new Uint8Array(1 << 20).fill(i), 'x'.repeat(1 << 16).normalize('NFD'));
  const digest = await crypto.subtle.digest('SHA-256', kept[0]);
  return `${digest.byteLength} ${new Intl.NumberFormat('en').format(12345.5)} ${new Date(0).getHours()}`;
};
)js";
constexpr const char* kLived = "\"5 55 1 4 unreachable unreachable 3\"";

// Writes a script that starts the worker's program with one more environment variable.
std::string worker_with(const TemporaryFolder& folder, const std::string& variable) {
  const fs::path path =
      folder.write("worker", fmt::format("#!/bin/sh\nexec /usr/bin/env ASAN_OPTIONS=verify_asan_link_order=0 "
                                         "{} {} \"$@\"\n",
                                         variable, startable_by_nobody(worker_program())));
  fs::permissions(path, fs::perms(0755));
  fs::permissions(folder.path(), fs::perms(0755));
  return path;
}

TEST_CASE("WebAssembly lives its whole life whether the processor has protection keys or none") {
  for (const char* shim : {"HOLDFAST_TEST_KEYS_PRESENT", "HOLDFAST_TEST_KEYS_ABSENT"}) {
    CAPTURE(shim);
    REQUIRE(std::getenv(shim) != nullptr);
    const TemporaryFolder folder;
    const fs::path library = folder.path() / "shim.so";
    fs::copy_file(std::getenv(shim), library);
    Daemon daemon({.modules = {{"wasm", kLife}}, .worker = worker_with(folder, "LD_PRELOAD=" + library.string())});
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {"wasm", "live"})) == kLived);
    CHECK(outcome(call(client, {"wasm", "work"})) == "\"32 12,345.5 0\"");
    daemon.stop();
  }
}

TEST_CASE("the environment of the supervisor changes nothing that a worker does") {
  const char* const variables[] = {"GLIBC_TUNABLES=glibc.malloc.hugetlb=2:glibc.malloc.perturb=165",
                                   "MALLOC_ARENA_MAX=1",
                                   "OPENSSL_CONF=/nonexistent",
                                   "OPENSSL_ia32cap=0",
                                   "ICU_DATA=/nonexistent",
                                   "TZ=America/New_York",
                                   "LC_ALL=de_DE.UTF-8",
                                   "NODE_OPTIONS=--jitless"};
  std::string environment;
  for (const char* variable : variables) environment += fmt::format("'{}' ", variable);
  const TemporaryFolder folder;
  const fs::path supervisor =
      folder.write("supervisor", fmt::format("#!/bin/sh\nexec /usr/bin/env {}{} \"$@\"\n", environment,
                                             startable_by_nobody(supervisor_program())));
  fs::permissions(supervisor, fs::perms(0755));
  fs::permissions(folder.path(), fs::perms(0755));
  Daemon daemon({.modules = {{"wasm", kLife}}, .supervisor = supervisor});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"wasm", "live"})) == kLived);
  CHECK(outcome(call(client, {"wasm", "work"})) == "\"32 12,345.5 0\"");
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
