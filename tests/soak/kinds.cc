#include "tests/soak/kinds.h"

#include <fmt/format.h>

namespace holdfast::soak {
namespace {

using ipc::ErrorCode;

// holdfastd's default for --max-retries.
constexpr std::uint32_t kMaxRetries = 2;

std::size_t between(Random& random, std::size_t least, std::size_t most) {
  return std::uniform_int_distribution<std::size_t>(least, most)(random);
}

std::string quoted(const std::string& text) { return '"' + text + '"'; }

std::string nonce_alone(const std::string& nonce, Random&) { return quoted(nonce); }
bool is_same(const std::string& payload, const std::string& result) { return payload == result; }

// Payload {"nonce":"…","amount":N}; the result begins with the nonce.
std::function<std::string(const std::string&, Random&)> nonce_and(std::size_t least, std::size_t most) {
  return [=](const std::string& nonce, Random& random) {
    return fmt::format(R"({{"nonce":"{}","amount":{}}})", nonce, between(random, least, most));
  };
}
std::string nonce_in(const std::string& payload) {
  const std::size_t begin = payload.find(":\"") + 2;
  return payload.substr(begin, payload.find('"', begin) - begin);
}
std::size_t amount_in(const std::string& payload) { return std::stoul(payload.substr(payload.rfind(':') + 1)); }

bool is_nonce(const std::string& payload, const std::string& result) { return result == quoted(nonce_in(payload)); }

bool is_nonce_and_filling(const std::string& payload, const std::string& result) {
  const std::string nonce = nonce_in(payload);
  return result.size() == 2 + nonce.size() + amount_in(payload) && result.starts_with('"' + nonce) &&
         result.find_first_not_of('x', 1 + nonce.size()) == result.size() - 1;
}

std::vector<Kind> all_kinds() {
  std::vector<Kind> all;
  for (const char* module : {"quick0", "quick1", "quick2", "quick3"}) {
    all.push_back({module, module, "echo", 18, nonce_alone, is_same});
  }
  all.push_back({"large payload", "quick1", "echo", 1,
                 [](const std::string& nonce, Random& random) {
                   return quoted(nonce + std::string(between(random, 10'000, 500'000), 'y'));
                 },
                 is_same});
  all.push_back({"work", "work", "work", 6, nonce_and(1, 8), is_nonce});
  all.push_back({"timer", "timer", "wait", 8, nonce_and(1, 60), is_nonce});
  all.push_back({.name = "counter",
                 .module = "counter",
                 .function = "count",
                 .weight = 5,
                 .payload = nonce_alone,
                 .is_right = is_same,
                 .idempotent = true});
  all.push_back({"once", "once", "once", 5, nonce_alone, is_same});
  // A call that is run again never runs in the same process again.
  all.push_back({.name = "once, idempotent",
                 .module = "once",
                 .function = "once",
                 .weight = 5,
                 .payload = nonce_alone,
                 .is_right = is_same,
                 .idempotent = true});
  all.push_back({.name = "timer, idempotent",
                 .module = "timer",
                 .function = "wait",
                 .weight = 5,
                 .payload = nonce_and(1, 60),
                 .is_right = is_nonce,
                 .idempotent = true});
  all.push_back({"large result", "large", "large", 2, nonce_and(10'000, 800'000), is_nonce_and_filling});
  all.push_back({"noisy", "noisy", "shout", 2, nonce_alone, is_same});
  all.push_back({"throws", "throws", "fail", 2, nonce_alone, nullptr, {ErrorCode::exception}});
  all.push_back({"no function", "quick2", "missing", 1, nonce_alone, nullptr, {ErrorCode::not_found}});
  all.push_back({"no module", "nowhere", "echo", 1, nonce_alone, nullptr, {ErrorCode::not_found}});
  all.push_back({"no JSON",
                 "quick3",
                 "echo",
                 1,
                 [](const std::string& nonce, Random&) { return "{" + nonce; },
                 nullptr,
                 {ErrorCode::protocol_error}});
  // If a call ends its module's process, the module's innocent calls die with it, or find the module held off.
  const std::set<ErrorCode> with_the_loop = {ErrorCode::worker_crashed, ErrorCode::unavailable, ErrorCode::overloaded};
  std::set<ErrorCode> of_the_loop = with_the_loop;
  of_the_loop.insert(ErrorCode::cpu_exceeded);
  all.push_back({"beside the loop", "loop", "echo", 1, nonce_alone, is_same, with_the_loop});
  all.push_back({"beside the loop, idempotent", "loop", "wait", 1, nonce_alone, is_same, with_the_loop, true});
  all.push_back({"loop", "loop", "spin", 0.15, nonce_alone, nullptr, of_the_loop});

  // On a busy machine it may exceed the stretch budget before its memory is full.
  all.push_back(
      {"hog",
       "hog",
       "fill",
       0.4,
       nonce_alone,
       nullptr,
       {ErrorCode::out_of_memory, ErrorCode::cpu_exceeded, ErrorCode::worker_crashed, ErrorCode::unavailable}});
  const std::set<ErrorCode> never_loads = {ErrorCode::load_failed, ErrorCode::unavailable};
  all.push_back({"throws at load", "broken", "echo", 0.6, nonce_alone, nullptr, never_loads});
  all.push_back({"loops at load", "stuck", "echo", 0.1, nonce_alone, nullptr, never_loads});
  for (Kind& kind : all) kind.worker_may_die = kind.module == "loop" || kind.module == "hog";
  return all;
}

// Checks that the usage is plausible.
std::string fault_of_usage(const MadeCall& call, const ipc::Answer& answer, unsigned disturbances) {
  const ipc::Usage& usage = answer.usage;
  if (usage.attempts == 0) return usage == ipc::Usage{} && !answer ? "" : "no attempt, but a result or some usage";
  // A worker that dies costs each call that it has not begun an attempt, too.
  if (disturbances == kNothing && !call.kind.worker_may_die && usage.attempts > 1) {
    return fmt::format("{} attempts, though no worker died", usage.attempts);
  }
  if (usage.cold != (usage.load.count() > 0)) return "a cold call must have a load time, and no other call may";
  if (usage.bytes_in != call.payload.size())
    return fmt::format("{} bytes in, expected {}", usage.bytes_in, call.payload.size());
  if (answer && usage.bytes_out != answer->payload.size()) return fmt::format("{} bytes out", usage.bytes_out);
  if (usage.queue + usage.load + usage.run > call.waited) return "its usage is longer than its caller waited";
  return "";
}

std::string fault_of_outcome(const MadeCall& call, const ipc::Answer& answer, unsigned disturbances) {
  const Kind& kind = call.kind;
  if (answer) {
    if (kind.is_right && kind.is_right(call.payload, answer->payload)) return "";
    return fmt::format("{}: the result is not its own: {:.200}", kind.name, answer->payload);
  }
  const ipc::Error& error = answer.error();
  const std::string fault = fmt::format("{}: {} ({}), executed {}: {:.300}", kind.name, ipc::to_string(error.code),
                                        error.detail, ipc::to_string(error.executed), error.message);
  // The client library also turns a second answer to one call into this.
  if (error.detail == "connection_lost") return fault;
  if (error.code == ErrorCode::exception && error.message.find(call.nonce) == std::string::npos) return fault;
  // An idempotent call reports only the death of the last worker that it may have, not of the first.
  if (error.code == ErrorCode::worker_crashed && kind.idempotent && answer.usage.attempts <= kMaxRetries) return fault;
  if (kind.own_errors.contains(error.code)) return "";
  switch (error.code) {
    // Full queues and a busy machine cause these without any fault.
    case ErrorCode::overloaded:
    case ErrorCode::deadline_exceeded:
      return "";
    case ErrorCode::cancelled:
      return call.was_cancelled ? "" : fault;
    case ErrorCode::worker_crashed:
    case ErrorCode::unavailable:
    case ErrorCode::load_failed:
      return disturbances != kNothing ? "" : fault;
    case ErrorCode::out_of_memory:
      return (disturbances & kResourcesRanOut) != 0 ? "" : fault;
    default:
      return fault;
  }
}

}  // namespace

const char* const kPlainModule = "plain";

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = all_kinds();
  return all;
}

std::vector<test::Module> modules_of_kinds() {
  const std::string echo = "exports.echo = (payload) => payload;";
  return {
      {kPlainModule, echo},
      {"quick0", echo},
      {"quick1", echo},
      {"quick2", echo},
      {"quick3", echo},
      {"work",
       "exports.work = ({ nonce, amount }) => { const end = Date.now() + amount; while (Date.now() < end); "
       "return nonce; };"},
      {"timer", "exports.wait = ({ nonce, amount }) => new Promise((resolve) => setTimeout(resolve, amount, nonce));"},
      {"counter", "let count = 0; exports.count = (nonce) => { count++; return nonce; };"},
      // A call that runs twice in one process answers `true`.
      {"once",
       "const seen = new Set(); exports.once = (nonce) => { if (seen.has(nonce)) return true; "
       "if (seen.size > 10000) seen.clear(); seen.add(nonce); return nonce; };"},
      {"large", "exports.large = ({ nonce, amount }) => nonce + 'x'.repeat(amount);"},
      {"noisy",
       "exports.shout = (nonce) => { for (let i = 0; i < 18; i++) console.log(nonce, 'n'.repeat(500)); "
       "console.warn(nonce, 'w'.repeat(500)); return nonce; };"},
      {"throws", "exports.fail = (nonce) => { throw new Error(nonce); };"},
      {"loop", echo + " exports.spin = () => { for (;;); };"
                      " exports.wait = (payload) => new Promise((resolve) => setTimeout(resolve, 20, payload));"},
      {"hog", "exports.fill = () => { const all = []; for (;;) all.push(new Array(10000).fill(0.5)); };"},
      {"broken", "throw new Error('never loads');"},
      {"stuck", "for (;;);"},
  };
}

std::string fault_of(const MadeCall& call, const ipc::Answer& answer, unsigned disturbances) {
  if (const std::string fault = fault_of_usage(call, answer, disturbances); !fault.empty()) {
    return fmt::format("{}: {}", call.kind.name, fault);
  }
  return fault_of_outcome(call, answer, disturbances);
}

}  // namespace holdfast::soak
