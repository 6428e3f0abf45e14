#include "tests/adversarial/attacker.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>

#include "ipc/shared_page.h"
#include "sandbox/process_state.h"

namespace holdfast::test {
namespace {

static_assert(offsetof(ipc::SharedPage, last_taken) == 24 && offsetof(ipc::SharedPage, refused_system_call) == 32 &&
              offsetof(ipc::SharedPage, line_started) == 40 && offsetof(ipc::SharedPage, line_results) == 48 &&
              offsetof(ipc::SharedPage, unclaimed_time) == 184 && offsetof(ipc::SharedPage, line_time) == 192);
constexpr const char* kAttacker = R"js('use strict';
const SOCKET = %SOCKET%n;
const LINE = SOCKET + 1n;
const SENDTO = %SENDTO%n;
const page = { running: 0n, stretchStart: 8n, stretchCount: 16n, lastTaken: 24n, refusedSystemCall: 32n,
  lineStarted: 40n, lineResults: 48n, unclaimedTime: 184n, lineTime: 192n };
const ownId = 0x1d1d1d1d1d1d1d1dn;

function lie(what, value) { writeWord(sharedPage() + page[what], BigInt(value)); }

// The number of the call on the CPU, as the shared page has it; outside of calls, a number of the first caller.
function callNumber(context) {
  const running = BigInt(readWord(sharedPage() + page.running));
  return running < 1n << 53n ? running : BigInt(context.requestId.split('-')[1]);
}

function bytesOf(list, context) {
  const bytes = new Uint8Array(list);
  const words = new BigUint64Array(bytes.buffer, 0, bytes.length >> 3);
  for (let i = 0; i < words.length; i++) if (words[i] === ownId) words[i] = callNumber(context);
  return bytes.buffer;
}

function sendAll(buffer, socket = SOCKET) {
  const size = buffer.byteLength;
  let sent = 0;
  while (sent < size) {
    const count = systemCall(SENDTO, socket, buffer.slice(sent), BigInt(size - sent), 0n, 0n, 0n);
    if (count <= 0) throw new Error(`sendto: ${count}`);
    sent += count;
  }
}

exports.ping = () => 'pong';
exports.echo = (payload) => payload;
exports.hold = () => new Promise(() => {});
exports.callNumber = (payload, context) => Number(callNumber(context));
exports.systemCall = (list) => systemCall(...list.map(BigInt));
exports.oldSystemCall = (list) => oldSystemCall(...list.map(BigInt));
exports.writeWord = ([address, value]) => writeWord(BigInt(address), BigInt(value));
exports.spin = () => spin();
exports.fault = (kind) => fault(kind);

// Converts the elements of a list to words: numbers stay as they are, texts and structures become the address of a
// copy.
const kept = [];
const memory = new ArrayBuffer(64 << 10);
const places = {
  memory: () => memory,
  page: () => sharedPage(),
  code: () => ownCode(),
  codePage: () => ownCode() & ~4095n,
  engine: () => engineCode(),
  enginePage: () => engineCode() & ~4095n,
  stack: () => ownStack(),
  sequences: () => restartableSequences(),
};
function keep(bytes) { kept.push(bytes.buffer); return bytes.buffer; }
function wordOf(word) {
  if (typeof word !== 'object') return BigInt(word);
  if (word.at !== undefined) return word.plus ? asWord(places[word.at]()) + BigInt(word.plus) : places[word.at]();
  if (word.text !== undefined) return keep(Uint8Array.from([...word.text, '\0'], (c) => c.charCodeAt(0)));
  return keep(BigUint64Array.from(word.words, addressOf));
}
// For a structure that points to the word.
const addressOf = (word) => asWord(wordOf(word));

// Makes each of these calls in a way that survives a refusal; returns their results in order.
exports.survey = (calls) => calls.map((call) => tryCall(...call.map(wordOf))).join(' ');
// Makes one call that does not survive a refusal.
exports.doCall = (call) => systemCall(...call.map(wordOf));
// Runs steps [name of a native function, ...words] in order and returns their results; the variants differ in what
// follows.
exports.run = (steps) => steps.map(([name, ...words]) => String(globalThis[name](...words.map(wordOf)))).join(' ');
exports.runAndLoop = (steps) => { exports.run(steps); while (true) {} };
exports.trap = (illegal) => fault(illegal ? 'illegal instruction' : 'breakpoint');

// Maps memory and writes to each of its pages until there is no more. If `hide` is set, each piece is made read-only,
// as memory that is not writable does not count as data. Returns the number of bytes.
exports.takeMemory = (hide) => {
  const size = 4n << 20n;
  for (let taken = 0n; ; taken += size) {
    const at = systemCall(%MMAP%n, 0n, size, 3n, 0x22n, -1n, 0n);
    if (at < 0) return Number(taken);
    for (let offset = 0n; offset < size; offset += 4096n) writeWord(BigInt(at) + offset, 1n);
    if (hide && systemCall(%MPROTECT%n, BigInt(at), size, 1n) !== 0) return Number(taken);
  }
};

// Other ways to get as much memory as possible, each until the kernel refuses. (malloc(3) remembers the break and
// restores it, so a piece is touched at once.)
const map = (size, protection, flags = 0x22n) => BigInt(systemCall(%MMAP%n, 0n, size, protection, flags, -1n, 0n));
const ways = {
  noReserve() { for (let at; (at = map(4n << 20n, 3n, 0x4022n)) > 0n;) touch(at, 4n << 20n); },
  stack() { for (let at; (at = map(4n << 20n, 3n, 0x20022n)) > 0n;) touch(at, 4n << 20n); },
  executable() {
    for (let at; (at = BigInt(tryCall(%MMAP%n, 0n, 4n << 20n, 7n, 0x22n, -1n, 0n).replace('refused:', '-'))) > 0n;) {
      touch(at, 4n << 20n);
    }
  },
  // Reserves first, and makes usable later.
  reserved() {
    for (let at; (at = map(4n << 20n, 0n)) > 0n;) {
      if (systemCall(%MPROTECT%n, at, 4n << 20n, 3n) !== 0) break;
      touch(at, 4n << 20n);
    }
  },
  heapEnd() {
    for (;;) {
      const end = BigInt(systemCall(%BRK%n, 0n));
      if (BigInt(systemCall(%BRK%n, end + (4n << 20n))) === end) return;
      touch(end, 4n << 20n);
    }
  },
  // Marks memory as no longer needed, which the kernel frees only when it runs short.
  lazilyFreed() {
    for (let at; (at = map(4n << 20n, 3n)) > 0n;) {
      touch(at, 4n << 20n);
      systemCall(%MADVISE%n, at, 4n << 20n, 8n);
    }
  },
  // Makes as many mappings as possible; equal neighbours would be merged.
  pieces() { for (let i = 0n; map(4096n, i & 1n ? 3n : 1n) > 0n; i++); },
  // Makes a page table for each page that is read, from address space that costs nothing.
  pageTables() {
    for (let size = 1n << 40n; size >= 1n << 21n; size >>= 1n) {
      for (let at; (at = map(size, 1n)) > 0n;) for (let i = 0n; i < size; i += 4096n << 9n) readWord(at + i);
    }
  },
  // Pages of files become private to the process when they are written to.
  programFiles() {
    for (let at = engineCode() & ~4095n; tryCall(%MPROTECT%n, at, 4096n, 7n) === '0'; at += 4096n) {
      writeWord(at, readWord(at));
    }
  },
};
exports.takeMemoryBy = (way) => { ways[way](); return way; };

// Announces a frame of `size` bytes and sends all of it except the end, which is longer than what the worker itself
// sends later.
exports.sendAlmostAll = (size) => {
  const words = BigInt(size >> 3);
  sendAll(BigUint64Array.of(words << 32n).buffer);
  const chunk = new ArrayBuffer(1 << 20);
  for (let left = size; left > 0; left -= chunk.byteLength) {
    sendAll(left > chunk.byteLength ? chunk : chunk.slice(0, left - 4096));
  }
  return new Promise(() => {});
};
// Announces a large frame and sends it byte by byte, for ever.
exports.drip = () => {
  sendAll(BigUint64Array.of(2000000n << 32n).buffer);
  for (const byte = new ArrayBuffer(1);;) sendAll(byte);
};
exports.large = (size) => 'x'.repeat(size);

// Sends these bytes to the supervisor, and answers 'sent' normally.
exports.send = (list, context) => { sendAll(bytesOf(list, context)); return 'sent'; };
// Sends these bytes and then this many zeros, and does not answer.
exports.sendWithZeros = ([list, zeros], context) => {
  sendAll(bytesOf(list, context));
  sendAll(new ArrayBuffer(zeros));
  return new Promise(() => {});
};
// Sends these bytes, and does not answer.
exports.sendAndHold = (list, context) => { sendAll(bytesOf(list, context)); return new Promise(() => {}); };
// Sends these bytes over and over.
exports.sendForEver = (list, context) => { const bytes = bytesOf(list, context); while (true) sendAll(bytes); };
// Sends these bytes, then spins in native code and does nothing else any more.
exports.sendAndSpin = (list, context) => { sendAll(bytesOf(list, context)); spin(); };

// Sends these bytes on the direct line, to the client that has it.
exports.sendOnLine = (list) => { sendAll(new Uint8Array(list).buffer, LINE); return 'sent'; };
// Sends these bytes on the direct line, and then this many zeros.
exports.sendOnLineWithZeros = ([list, zeros]) => {
  sendAll(new Uint8Array(list).buffer, LINE);
  sendAll(new ArrayBuffer(zeros), LINE);
  return 'sent';
};
exports.sendOnLineAndSpin = (list) => { sendAll(new Uint8Array(list).buffer, LINE); spin(); };

// Writes false values, [[field, value], ...], to the shared page, then spins or loops.
exports.lieAndSpin = (lies) => { for (const [what, value] of lies) lie(what, value); spin(); };
exports.spinAsIdle = () => { lie('running', 0); spin(sharedPage() + page.stretchCount); };
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
// Claims over and over that a new stretch has just begun.
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
  for (std::size_t at; (at = text.find(what)) != std::string::npos;) {
    text.replace(at, what.size(), std::to_string(number));
  }
  return text;
}

}  // namespace

DaemonOptions under_attack(std::vector<std::string> flags) {
  std::string code = replaced(kAttacker, "%SOCKET%", sandbox::kKeptDescriptor);
  code = replaced(replaced(code, "%SENDTO%", SYS_sendto), "%EXIT_GROUP%", SYS_exit_group);
  code = replaced(replaced(code, "%MMAP%", SYS_mmap), "%MPROTECT%", SYS_mprotect);
  code = replaced(replaced(code, "%BRK%", SYS_brk), "%MADVISE%", SYS_madvise);
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

bool offers_calls_of_i386() {
#ifdef __x86_64__
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    long result = 20;  // getpid(2)
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status);
#else
  return false;
#endif
}

}  // namespace holdfast::test
