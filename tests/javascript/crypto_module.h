// Runs code that uses the Web Cryptography API in a locked worker.
#pragma once

#include <string>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {

inline constexpr const char* kCryptoPrologue = R"js(
    const { subtle } = crypto;
    const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    const unhex = (text) => new Uint8Array((text.match(/../g) ?? []).map((digits) => parseInt(digits, 16)));
    const ascii = (text) => new Uint8Array([...text].map((character) => character.charCodeAt(0)));
    const pattern = (count) => new Uint8Array(count).map((_, i) => i * 7 + 1);
    const nameOf = async (use) => { try { await use(); return 'nothing'; } catch (error) { return error.name; } };
    const names = async (...uses) => { const all = []; for (const use of uses) all.push(await nameOf(use)); return all.join(); };
)js";

// Runs `code`, the body of an async function, and returns its result as JSON.
inline std::string evaluated(const std::string& code, const char* profile = "jit", const char* payload = "null") {
  Daemon daemon({.modules = {{"module", kCryptoPrologue + ("exports.f = async (payload) => {" + code + "};")}},
                 .flags = {"--profile", profile, "--stretch", "20s"}});
  ipc::Client client = daemon.connect();
  return outcome(call(client, {"module", "f", payload}));
}

}  // namespace holdfast::test
