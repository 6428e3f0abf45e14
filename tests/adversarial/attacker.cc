#include "tests/adversarial/attacker.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include "sandbox/process_state.h"

namespace holdfast::test {
namespace {

// Offsets into the shared page are those of ipc/shared_page.h.
constexpr const char* kAttacker = R"js('use strict';
const SOCKET = %SOCKET%n;
const SENDTO = %SENDTO%n;
const page = { running: 0n, stretchStart: 8n, stretchCount: 16n, lastStarted: 24n, refusedSystemCall: 32n };
const ownId = 0x1d1d1d1d1d1d1d1dn;

function lie(what, value) { writeWord(sharedPage() + page[what], BigInt(value)); }

// What the worker and the supervisor call the call by: see request_id() in ipc/worker_messages.h.
function callNumber(context) { return BigInt(context.requestId.split('-')[1]); }

function bytesOf(list, context) {
  const bytes = new Uint8Array(list);
  const words = new BigUint64Array(bytes.buffer, 0, bytes.length >> 3);
  for (let i = 0; i < words.length; i++) if (words[i] === ownId) words[i] = callNumber(context);
  return bytes.buffer;
}

function sendAll(buffer) {
  const size = buffer.byteLength;
  let sent = 0;
  while (sent < size) {
    const count = systemCall(SENDTO, SOCKET, buffer.slice(sent), BigInt(size - sent), 0n, 0n, 0n);
    if (count <= 0) throw new Error(`sendto: ${count}`);
    sent += count;
  }
}

exports.ping = () => 'pong';
exports.echo = (payload) => payload;
exports.hold = () => new Promise(() => {});
exports.callNumber = (payload, context) => Number(callNumber(context));
exports.systemCall = (list) => systemCall(...list.map(BigInt));
exports.oldSystemCall = (number) => oldSystemCall(number);
exports.writeWord = ([address, value]) => writeWord(BigInt(address), BigInt(value));
exports.spin = () => spin();

// Maps memory and writes to each of its pages until no more can be had; each piece is made read-only if `hide` is set,
// as memory that is not writable is not counted as data. Returns the bytes that it got.
exports.takeMemory = (hide) => {
  const size = 4n << 20n;
  for (let taken = 0n; ; taken += size) {
    const at = systemCall(%MMAP%n, 0n, size, 3n, 0x22n, -1n, 0n);
    if (at < 0) return Number(taken);
    for (let offset = 0n; offset < size; offset += 4096n) writeWord(BigInt(at) + offset, 1n);
    if (hide && systemCall(%MPROTECT%n, BigInt(at), size, 1n) !== 0) return Number(taken);
  }
};

// Sends these bytes to the supervisor, and answers 'sent' in the regular way.
exports.send = (list, context) => { sendAll(bytesOf(list, context)); return 'sent'; };
// The same, and no answer.
exports.sendAndHold = (list, context) => { sendAll(bytesOf(list, context)); return new Promise(() => {}); };
// The same, over and over.
exports.sendForEver = (list, context) => { const bytes = bytesOf(list, context); while (true) sendAll(bytes); };
// The same, after which the process goes on in native code and does nothing more for anybody.
exports.sendAndSpin = (list, context) => { sendAll(bytesOf(list, context)); spin(); };

// Writes lies, [[field, value], ...], on the shared page and goes on as told.
exports.lieAndSpin = (lies) => { for (const [what, value] of lies) lie(what, value); spin(); };
exports.lieAndLoop = (lies) => { for (const [what, value] of lies) lie(what, value); while (true) {} };
exports.lieAndExit = ([lies, status]) => {
  for (const [what, value] of lies) lie(what, value);
  systemCall(%EXIT_GROUP%, status);
};
exports.lieAndHold = (lies) => { for (const [what, value] of lies) lie(what, value); return new Promise(() => {}); };
exports.answerLieAndSpin = (lies) => {
  setTimeout(() => { for (const [what, value] of lies) lie(what, value); spin(); }, 5);
  return 'answered';
};
// Claims, over and over, that a new stretch has just begun.
exports.renewStretches = () => { lie('stretchStart', 1n << 62n); spin(sharedPage() + page.stretchCount); };
)js";

constexpr const char* kBystander = R"js('use strict';
let resolvers = [];
exports.ping = () => 'pong';
exports.wait = (millis) => new Promise((resolve) => setTimeout(resolve, millis, 'waited'));
exports.hold = () => new Promise((resolve) => resolvers.push(() => resolve('held')));
exports.release = () => { for (const resolve of resolvers) resolve(); resolvers = []; };
)js";

std::string replaced(std::string text, const std::string& what, long number) {
  text.replace(text.find(what), what.size(), std::to_string(number));
  return text;
}

}  // namespace

DaemonOptions under_attack(std::vector<std::string> flags) {
  std::string code = replaced(kAttacker, "%SOCKET%", sandbox::kKeptDescriptor);
  code = replaced(replaced(code, "%SENDTO%", SYS_sendto), "%EXIT_GROUP%", SYS_exit_group);
  code = replaced(replaced(code, "%MMAP%", SYS_mmap), "%MPROTECT%", SYS_mprotect);
  return {.modules = {{"attacker", code}, {"bystander", kBystander}},
          .flags = std::move(flags),
          .worker = attacker_program()};
}

std::string as_json(std::string_view bytes) {
  std::string text = "[";
  for (const char byte : bytes)
    text += fmt::format("{}{}", text.size() == 1 ? "" : ",", static_cast<unsigned char>(byte));
  return text + "]";
}

}  // namespace holdfast::test
