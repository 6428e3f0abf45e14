// Direct lines to workers that an attacker controls: what such a worker sends on its line costs its client the line,
// and affects no other client.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <string_view>

#include "tests/adversarial/siege.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

constexpr long kLine = kSocket + 1;
const ipc::ModuleName kAttacker = {"attacker", "v1"};

template <typename... Messages>
std::string frames(const Messages&... messages) {
  ipc::OutputBuffer out;
  (encode(out, messages), ...);
  return std::string(ipc::as_text(out.data()));
}
std::string result_on_line(std::uint64_t id) {
  ipc::OutputBuffer out;
  ipc::encode_result(out, id, {ipc::as_bytes("1")}, {});
  return std::string(ipc::as_text(out.data()));
}
std::string error_frame(std::uint64_t id, ipc::ErrorCode code) {
  ipc::OutputBuffer out;
  ipc::encode_error(out, id, ipc::make_error(code, "so it says"), {});
  return std::string(ipc::as_text(out.data()));
}

// A daemon with direct lines, a client with a line to the attacker's module, and a client whose calls to it are
// relayed.
struct Scene {
  explicit Scene(std::vector<std::string> flags = {})
      : daemon(with_lines(std::move(flags))), victim(daemon.connect()), other(daemon.connect()) {
    const auto opened = victim.open_line(kAttacker);
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
    CHECK(outcome(call(victim, {"attacker", "ping"})) == "\"pong\"");
    CHECK(outcome(call(other, {"bystander", "ping"})) == "\"pong\"");
    worker = worker_of(other, "attacker").pid;
  }
  static DaemonOptions with_lines(std::vector<std::string> flags) {
    flags.push_back("--direct-line");
    return under_attack(std::move(flags));
  }
  bool loses_line() {
    return eventually([&] {
      victim.run_once(milliseconds(5));
      return !victim.has_line(kAttacker);
    });
  }

  Daemon daemon;
  ipc::Client victim;
  ipc::Client other;
  pid_t worker = 0;
};

TEST_CASE("a client loses its line whatever the worker wrongly sends on it and others are served by the same worker") {
  const std::string huge("\0\0\0\0\xff\xff\xff\x0f", 8);
  for (const std::string& bytes :
       {std::string(100, '\xff'), huge, result_on_line(4711), error_frame(4711, ipc::ErrorCode::exception),
        frames(ipc::ServerHello{}), frames(ipc::ProtocolViolation{"so there"}),
        frames(ipc::LineClosing{99}, ipc::LineClosing{99}), frames(ipc::LineEnded{1, 0, 0, {}, {}})}) {
    Scene scene;
    Calls calls(scene.victim);
    for (int i = 0; i < 3; ++i) calls.start({"attacker", "hold"});
    CHECK(outcome(call(scene.victim, {"attacker", "ping"})) == "\"pong\"");
    Calls of_other(scene.other);
    const auto held = of_other.start({"bystander", "hold"});
    CHECK(outcome(call(scene.other, {"attacker", "sendOnLine", as_json(bytes)})) == "\"sent\"");
    REQUIRE(scene.loses_line());
    calls.wait_for_all();
    for (std::size_t i = 0; i < 3; ++i) {
      const ipc::Error error = error_of(calls.answer(i));
      CHECK(error.code == ipc::ErrorCode::unavailable);
      CHECK(error.executed == ipc::Executed::maybe);
    }
    // The same worker still serves both.
    CHECK(outcome(call(scene.victim, {"attacker", "ping"})) == "\"pong\"");
    CHECK(outcome(call(scene.other, {"attacker", "ping"})) == "\"pong\"");
    CHECK(worker_of(scene.other, "attacker").pid == scene.worker);
    CHECK_FALSE(of_other.is_answered(held));
    call(scene.other, {"bystander", "release"});
    CHECK(outcome(of_other.wait_for(held)) == "\"held\"");
    scene.daemon.stop();
  }
}

TEST_CASE("a worker that answers a call twice or with an error that it may not give loses its line") {
  for (const auto code : {ipc::ErrorCode::unavailable, ipc::ErrorCode::permission_denied, ipc::ErrorCode::cancelled,
                          ipc::ErrorCode::deadline_exceeded}) {
    Scene scene;
    Calls calls(scene.victim);
    ipc::Answer forged;
    const CallTo hold{"attacker", "hold"};
    const std::uint64_t id =
        scene.victim.start(hold.request(), [&](ipc::Answer answer) { forged = std::move(answer); });
    CHECK(outcome(call(scene.victim, {"attacker", "ping"})) == "\"pong\"");
    CHECK(outcome(call(scene.other, {"attacker", "sendOnLine", as_json(error_frame(id, code))})) == "\"sent\"");
    REQUIRE(scene.loses_line());
    REQUIRE(eventually([&] {
      scene.victim.run_once(milliseconds(5));
      return scene.victim.open_calls() == 0;
    }));
    CHECK(contains(error_of(forged).message, "broke a rule"));
    scene.daemon.stop();
  }
}

TEST_CASE("a worker that sends a part of a frame on its line and then nothing costs its client only time") {
  Scene scene;
  CHECK(outcome(call(scene.other, {"attacker", "sendOnLine", as_json(result_on_line(1).substr(0, 20))})) == "\"sent\"");
  const CallTo ping{.module = "attacker", .function = "ping", .timeout = milliseconds(100)};
  CHECK(code_of(call(scene.victim, ping)) != "result");
  CHECK(outcome(call(scene.victim, {"bystander", "ping"})) == "\"pong\"");
  CHECK(outcome(call(scene.other, {"attacker", "ping"})) == "\"pong\"");
  scene.daemon.stop();
}

TEST_CASE("a worker with a line that lies on its page costs only calls of its own module and each is answered once") {
  for (
      const char* lies :
      {R"([["lineStarted",0]])", R"([["lineStarted","18446744073709551615"]])",
       R"([["lineResults","9223372036854775808"],["lastTaken","18446744073709551615"],["unclaimedTime","18446744073709551615"],["lineTime","18446744073709551615"]])",
       R"([["running","4503599627370497"]])", R"([["running","4503599627380000"]])"}) {
    CAPTURE(std::string_view(lies));
    Scene scene({"--stretch", "100ms"});
    Calls held(scene.other);
    held.start({"bystander", "hold"});
    CHECK(outcome(call(scene.other, {"bystander", "ping"})) == "\"pong\"");
    Calls calls(scene.victim);
    for (int i = 0; i < 5; ++i) calls.start({"attacker", "hold"});
    calls.start({"attacker", "lieAndLoop", lies});
    for (int i = 0; i < 5; ++i) calls.start({.module = "attacker", .function = "ping", .timeout = milliseconds(2000)});
    for (std::size_t i = 5; i < 11; ++i) calls.wait_for(i);
    for (std::size_t i = 0; i < 5; ++i) {
      if (!calls.is_answered(i)) calls.cancel(i);  // the next worker has it and does not answer
    }
    calls.wait_for_all();
    CHECK(calls.order().size() == 11);
    CHECK(code_of(calls.answer(5)) != "result");
    CHECK(eventually([&] { return !is_running(scene.worker); }));
    CHECK(outcome(call(scene.victim, {"attacker", "ping"})) == "\"pong\"");
    CHECK_FALSE(held.is_answered(0));
    call(scene.other, {"bystander", "release"});
    CHECK(outcome(held.wait_for(0)) == "\"held\"");
    scene.daemon.stop();
  }
}

TEST_CASE("a worker with a line that spins and claims to be idle is killed though only its client can tell") {
  Scene scene({"--stretch", "100ms"});
  const CallTo spin{.module = "attacker", .function = "spinAsIdle", .timeout = milliseconds(100)};
  CHECK(code_of(call(scene.victim, spin)) == "deadline_exceeded");
  CHECK(eventually([&] {
    scene.victim.run_once(milliseconds(20));
    return !is_running(scene.worker);
  }));
  CHECK(outcome(call(scene.victim, {"attacker", "ping"})) == "\"pong\"");
  scene.daemon.stop();
}

TEST_CASE("a worker that keeps a line which its client has given up is killed") {
  Scene scene({"--stretch", "100ms"});
  Calls calls(scene.victim);
  const std::string rubbish(100, '\xff');
  const auto spinning = calls.start({"attacker", "sendOnLineAndSpin", as_json(rubbish)});
  CHECK(code_of(calls.wait_for(spinning)) != "result");
  CHECK(eventually([&] {
    scene.victim.run_once(milliseconds(20));
    return !is_running(scene.worker);
  }));
  CHECK(outcome(call(scene.victim, {"attacker", "ping"})) == "\"pong\"");
  scene.daemon.stop();
}

TEST_CASE("a worker that floods its line does not fill its client's memory") {
  Scene scene;
  // A frame that is announced as 16 MB and sent in full, but holds no message.
  const std::string header("\0\0\0\0\0\0\x20\0", 8);
  Calls calls(scene.victim);
  const auto flood = calls.start(
      {"attacker", "sendOnLineWithZeros", fmt::format("[{},{}]", as_json(header), std::uint64_t{16} << 20)});
  calls.wait_for(flood);
  CHECK(scene.loses_line());
  CHECK(outcome(call(scene.victim, {"attacker", "ping"})) == "\"pong\"");
  scene.daemon.stop();
}

TEST_CASE("a worker with a line can make no system call that a worker without one cannot") {
  Siege siege({"--direct-line"});
  siege.worker();
  std::vector<NativeCall> calls;
  for (long fd : {kSocket, kLine}) {
    for (long number :
         {SYS_recvmsg, SYS_sendmsg, SYS_recvmmsg,    SYS_sendmmsg,    SYS_accept,     SYS_accept4,    SYS_connect,
          SYS_bind,    SYS_listen,  SYS_getpeername, SYS_getsockname, SYS_setsockopt, SYS_getsockopt, SYS_shutdown,
          SYS_close,   SYS_dup,     SYS_read,        SYS_write,       SYS_fcntl,      SYS_ioctl,      SYS_sendfile}) {
      calls.push_back(native_call(number, fd, at("memory"), 0));
    }
    calls.push_back(native_call(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
    calls.push_back(native_call(SYS_dup2, fd, 5));
    // Out-of-band data, and reading without removing.
    calls.push_back(native_call(SYS_sendto, fd, at("memory"), 1, MSG_OOB, 0, 0));
    calls.push_back(native_call(SYS_recvfrom, fd, at("memory"), 1, MSG_OOB | MSG_DONTWAIT, 0, 0));
    calls.push_back(native_call(SYS_recvfrom, fd, at("memory"), 1, MSG_PEEK | MSG_DONTWAIT, 0, 0));
  }
  const auto outcomes = siege.survey(calls);
  for (std::size_t i = 0; i < calls.size(); ++i) CHECK_MESSAGE(outcomes[i].refused, calls[i].json);
  // There is no third socket, and the calls that the table allows work on both.
  for (long fd = 0; fd < 64; ++fd) {
    const auto outcome = siege.survey(native_call(SYS_recvfrom, fd, at("memory"), 0, MSG_DONTWAIT, 0, 0));
    if (fd != kSocket && fd != kLine) CHECK(outcome.result == -EBADF);
  }
  siege.end();
}

}  // namespace
}  // namespace holdfast::test
