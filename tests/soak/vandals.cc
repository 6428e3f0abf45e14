#include "tests/soak/vandals.h"

#include <fmt/format.h>

#include <unordered_map>
#include <unordered_set>
#include <variant>

namespace holdfast::soak {
namespace {

using test::RawConnection;

constexpr std::size_t kShortestPauseMillis = 20;
constexpr std::size_t kLongestPauseMillis = 300;

// The largest number of stalled clients at a time; beyond it, the oldest disconnects.
constexpr std::size_t kMostHeld = 20;

// The largest flood. Most of its calls are answered with `overloaded`.
constexpr std::size_t kFloodCalls = 5000;

std::string hello() { return RawConnection::frame_of(ipc::ClientHello{ipc::kProtocolVersion, "vandal"}); }

std::string call_frame(std::uint64_t id, std::string_view module, std::string_view function, std::string_view payload) {
  return RawConnection::frame_of(ipc::CallRequest{
      .id = id, .module = module, .version = "v1", .function = function, .payload = ipc::as_bytes(payload)});
}

// Sends until the socket takes no more without waiting.
void send_what_is_taken(RawConnection& connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t taken = connection.send_some(bytes);
    if (taken == 0) return;
    bytes.remove_prefix(taken);
  }
}

}  // namespace

Vandals::Vandals(const std::string& socket_path, Run& run)
    : socket_path_(socket_path), run_(run), random_(run.seed ^ 0x76616e64616c73) {}

void Vandals::perform(const std::atomic<bool>& stop) {
  while (!stop && !is_interrupted()) {
    act();
    while (held_.size() > kMostHeld) held_.pop_front();
    pause_for(milliseconds(between(kShortestPauseMillis, kLongestPauseMillis)));
  }
  held_.clear();
}

void Vandals::act() {
  switch (std::discrete_distribution<int>({8, 3, 1, 3, 4, 3, 4})(random_)) {
    case 0:
      return vanish();
    case 1:
      return stall();
    case 2:
      return flood();
    case 3:
      return speak_garbage();
    case 4:
      return damage_messages();
    case 5:
      return break_a_rule();
    case 6:
      return count_answers();
  }
}

void Vandals::vanish() {
  RawConnection client(socket_path_);
  const std::string calls = some_calls(between(1, 40));
  switch (between(0, 6)) {
    case 0:
      return told("vanish before the hello");
    case 1:
      told("vanish in the hello");
      return send_what_is_taken(client, hello().substr(0, between(1, hello().size() - 1)));
    case 2:
      told("vanish after the hello");
      return send_what_is_taken(client, hello());
    case 3:
      told("vanish in a call");
      return send_what_is_taken(client, hello() + calls.substr(0, between(1, calls.size() - 1)));
    case 4:
      told("vanish after calls");
      return send_what_is_taken(client, hello() + calls);
    case 5: {
      told("vanish amid answers");
      send_what_is_taken(client,
                         hello() + calls + call_frame(1000, "large", "large", R"({"nonce":"v","amount":900000})"));
      client.receive([](const ipc::ServerMessage&) {}, milliseconds(between(0, 200)));
      return;
    }
    default:
      told("shut down half a connection");
      send_what_is_taken(client, hello() + calls);
      client.finish_sending();
      client.read_to_end();
      return;
  }
}

void Vandals::stall() {
  told("never read");
  RawConnection& client = held_.emplace_back(socket_path_);
  std::string bytes = between(0, 3) == 0 ? hello().substr(0, 10) : hello();
  if (bytes.size() > 10) {
    for (std::uint64_t id = 1; id <= 30; ++id) {
      bytes += call_frame(id, "large", "large", R"({"nonce":"s","amount":200000})");
    }
  }
  send_what_is_taken(client, bytes);
}

void Vandals::flood() {
  told("flood");
  RawConnection& client = held_.emplace_back(socket_path_);
  std::string bytes = hello();
  for (std::uint64_t id = 1; id <= kFloodCalls; ++id) bytes += call_frame(id, "quick0", "echo", "1");
  send_what_is_taken(client, bytes);
}

void Vandals::speak_garbage() {
  told("speak garbage");
  RawConnection client(socket_path_);
  std::string bytes(between(1, 20'000), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random_());
  if (random_() % 2 == 0) bytes = hello() + bytes;
  client.send(bytes);
  client.finish_sending();
  client.read_to_end();
}

void Vandals::damage_messages() {
  told("damage messages");
  RawConnection client(socket_path_);
  std::string bytes = some_calls(between(1, 20));
  for (std::size_t flips = between(1, 12); flips > 0; --flips) {
    bytes[between(0, bytes.size() - 1)] ^= static_cast<char>(1U << between(0, 7));
  }
  client.send(hello() + bytes);
  client.finish_sending();
  client.read_to_end();
}

void Vandals::break_a_rule() {
  told("break a rule");
  RawConnection client(socket_path_);
  switch (between(0, 4)) {
    case 0:
      client.send(call_frame(1, "quick0", "echo", "1"));
      break;  // without a hello
    case 1:
      client.send(hello() + hello());
      break;
    case 2:
      client.send(RawConnection::frame_of(ipc::ClientHello{99, "of another version"}));
      break;
    case 3:
      client.send(hello() + test::frame_header({0x1fff'ffff}));
      break;
    default: {
      const std::string call = call_frame(7, "timer", "wait", R"({"nonce":"r","amount":1000})");
      client.send(hello() + call + call);
    }
  }
  if (client.read_to_end().empty()) run_.report.broken("a client that broke a rule got no protocolError");
}

// Each call is answered exactly once. A second answer would show up among the next answers on this connection.
void Vandals::count_answers() {
  told("count answers");
  const std::size_t calls = between(10, 200);
  std::unordered_map<std::uint64_t, std::size_t> answers;
  RawConnection client(socket_path_);
  client.send(hello());
  for (std::uint64_t id = 1; id <= calls; ++id) {
    const char* module = id % 3 == 0 ? "timer" : "quick1";
    client.send(call_frame(id, module, id % 3 == 0 ? "wait" : "echo", R"({"nonce":"c","amount":20})"));
  }
  const auto end = Clock::now() + kLongestWait;
  while (answers.size() < calls && Clock::now() < end) {
    const auto received = client.receive(
        [&](const ipc::ServerMessage& message) {
          if (const auto* answer = std::get_if<ipc::AnswerView>(&message)) ++answers[answer->id];
        },
        milliseconds(100));
    if (received == RawConnection::Received::end) {
      run_.report.broken("the supervisor disconnected a client that broke no rule");
      break;
    }
  }
  if (answers.size() < calls) {
    run_.report.broken(fmt::format("{} of {} calls were not answered", calls - answers.size(), calls));
  }
  for (const auto& [id, count] : answers) {
    if (count != 1 || id == 0 || id > calls)
      run_.report.broken(fmt::format("call {} of {} got {} answers", id, calls, count));
  }
}

std::string Vandals::some_calls(std::size_t count) {
  std::string bytes;
  for (std::uint64_t id = 1; id <= count; ++id) {
    switch (between(0, 2)) {
      case 0:
        bytes += call_frame(id, "quick0", "echo", R"({"a":[1,2,3]})");
        break;
      case 1:
        bytes += call_frame(id, "timer", "wait", R"({"nonce":"v","amount":40})");
        break;
      default:
        bytes += call_frame(id, "large", "large", R"({"nonce":"v","amount":20000})");
    }
  }
  return bytes;
}

void Vandals::told(const std::string& what) {
  ++counts_[what];
  run_.report.note(what);
}

std::size_t Vandals::between(std::size_t least, std::size_t most) {
  return std::uniform_int_distribution<std::size_t>(least, most)(random_);
}

}  // namespace holdfast::soak
