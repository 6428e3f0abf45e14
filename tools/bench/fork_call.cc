// The least that a cold call in a process of its own takes: a bare fork from a process with V8 up, in which a small
// module is compiled and run and one of its functions is called. No sandbox, no scheduling, no relay.
//
// It makes one such call for each line on standard input, and writes on standard output how long that took, in
// nanoseconds, from before the fork until the answer was read. `holdfast bench --fork-call` shows it beside cold
// calls.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <variant>

#include "ipc/base/unique_fd.h"
#include "ipc/call_rules.h"
#include "ipc/frame.h"
#include "ipc/shared_page.h"
#include "ipc/worker_messages.h"
#include "worker/channel/outbox.h"
#include "worker/v8/engine.h"
#include "worker/v8/module_host.h"
#include "worker/v8/warm_up.h"

namespace {

using namespace holdfast;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kMemoryBytes = std::uint64_t{128} << 20;
constexpr std::uint64_t kCall = 1;
constexpr std::string_view kModule = "exports.add = async ({ a, b }) => a + b;";

[[noreturn]] void fail(const char* what) {
  std::cerr << "fork_call: " << what << " failed\n";
  std::exit(1);
}

[[noreturn]] void answer_and_end(worker::Engine& engine, BorrowedFd socket) {
  static ipc::SharedPage page{};
  worker::Outbox outbox(socket);
  worker::ModuleHost host(engine, outbox, nullptr, page);
  host.load({.module = "floor",
             .version = "1",
             .file_name = "floor.js",
             .source = ipc::as_bytes(kModule),
             .memory_bytes = kMemoryBytes,
             .max_payload_bytes = ipc::kMaxPayloadBytes});
  host.start({.id = kCall, .function = "add", .payload = ipc::as_bytes(R"({"a":1,"b":2})")});
  outbox.send_all();
  ::_exit(0);
}

// Reads the call's answer; false if it is not the sum.
bool read_answer(int socket) {
  ipc::FrameReader in;
  for (;;) {
    const auto frame = in.next();
    if (!frame) return false;
    if (frame->has_value()) {
      const auto message = ipc::decode_worker_message(**frame);
      if (!message) return false;
      const auto* answer = std::get_if<ipc::AnswerView>(&*message);
      if (answer == nullptr) continue;
      const auto* result = std::get_if<ipc::ResultView>(&answer->outcome);
      return result != nullptr && ipc::as_text(result->payload) == "3";
    }
    const auto space = in.prepare();
    const ssize_t count = ::recv(socket, space.data(), space.size(), 0);
    if (count <= 0) return false;
    in.commit(static_cast<std::size_t>(count));
  }
}

Clock::duration time_fork_call(worker::Engine& engine) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail("socketpair");
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const auto begin = Clock::now();
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) answer_and_end(engine, theirs);
  theirs.reset();
  if (!read_answer(ours.get())) fail("a call in a forked process");
  const auto elapsed = Clock::now() - begin;
  ::waitpid(child, nullptr, 0);
  return elapsed;
}

}  // namespace

int main() {
  worker::Engine engine({.memory_bytes = kMemoryBytes});
  worker::warm_up(engine);
  engine.settle_heap();
  for (std::string line; std::getline(std::cin, line);) {
    const auto elapsed = std::chrono::nanoseconds(time_fork_call(engine));
    std::cout << elapsed.count() << std::endl;
  }
}
