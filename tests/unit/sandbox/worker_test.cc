// All layers together, as the zygote applies them to a worker.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "tests/unit/sandbox/test_support.h"

using namespace holdfast::sandbox;
using namespace holdfast::sandbox::test;

namespace {

// The only child of `parent`, by its pid outside.
pid_t only_child(pid_t parent) {
  const std::string pid = std::to_string(parent);
  std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
  pid_t child = -1;
  children >> child;
  return child;
}

std::map<std::string, std::string> status_of(pid_t pid) {
  std::map<std::string, std::string> fields;
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    const std::size_t colon = line.find(':');
    const std::size_t value = line.find_first_not_of(" \t", colon + 1);
    fields[line.substr(0, colon)] = value == std::string::npos ? "" : line.substr(value);
  }
  return fields;
}

// Sends a byte when it is locked, then answers each byte with the next one until its socket is closed.
std::string echo() {
  char byte = 'r';
  do {
    if (send(kKeptDescriptor, &byte, 1, MSG_NOSIGNAL) != 1) return "send";
    pollfd ready{kKeptDescriptor, POLLIN, 0};
    if (ppoll(&ready, 1, nullptr, nullptr) != 1) return "poll";
    if (recv(kKeptDescriptor, &byte, 1, 0) != 1) return "served";
    ++byte;
  } while (true);
}

ResourceLimits ordinary_limits() {
  return {.data_bytes = data_bytes_in_use().value() + (64 << 20),
          .address_space_bytes = address_space_bytes_in_use().value() + (256 << 20),
          .stack_bytes = 4 << 20,
          .cpu_time = std::chrono::seconds(60)};
}

char ask(int socket, char byte) {
  send(socket, &byte, 1, MSG_NOSIGNAL);
  byte = 0;
  recv(socket, &byte, 1, 0);
  return byte;
}

// The test's copy of the worker's end is closed, so that it does not keep the worker's socket open.
struct Worker {
  Worker(Caller caller, Profile profile, const Body& body = echo)
      : child(start_worker(caller, profile, ordinary_limits(), sockets.theirs, body)) {
    sockets.close_theirs();
  }
  bool locked() {
    char byte = 0;
    return recv(sockets.mine, &byte, 1, 0) == 1 && byte == 'r';
  }
  Ending finish() {
    sockets.close_mine();
    return child.finish();
  }

  SocketPair sockets;
  RunningChild child;
};

}  // namespace

TEST_CASE("a worker behind every layer answers over its socket until it is closed") {
  for (const Caller caller : callers()) {
    for (const Profile profile : {Profile::strict, Profile::jit}) {
      Worker worker(caller, profile);
      INFO(name(caller));
      REQUIRE(worker.locked());
      CHECK(ask(worker.sockets.mine, 'a') == 'b');
      CHECK(ask(worker.sockets.mine, 'x') == 'y');
      const Ending ending = worker.finish();
      CHECK(ending.exited(0));
      CHECK(ending.said == "served");
    }
  }
}

TEST_CASE("seen from the host, a worker has no capability, no way to privileges, and a filter") {
  for (const Caller caller : callers()) {
    Worker worker(caller, Profile::strict);
    REQUIRE(worker.locked());
    const pid_t process_one = only_child(worker.child.pid());
    const pid_t pid = only_child(process_one);
    REQUIRE(pid > 0);
    auto status = status_of(pid);
    INFO(name(caller));
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) CHECK(status[set] == "0000000000000000");
    CHECK(status["NoNewPrivs"] == "1");
    CHECK(status["Seccomp"] == "2");
    CHECK(status["Seccomp_filters"] == "1");
    CHECK(status["Threads"] == "1");
    CHECK(status["SigBlk"] == "0000000000000000");
    const std::string uid = std::to_string(geteuid() == 0 ? 65534 : geteuid());
    CHECK(status["Uid"] == uid + "\t" + uid + "\t" + uid + "\t" + uid);
    CHECK(status_of(process_one)["NoNewPrivs"] == "1");
    CHECK(worker.finish().exited(0));
  }
}

TEST_CASE("a worker that makes a forbidden system call dies by SIGSYS, and process 1 lives on to tell") {
  for (const Caller caller : callers()) {
    for (const Profile profile : {Profile::strict, Profile::jit}) {
      Worker worker(caller, profile, [] { return outcome(syscall(SYS_openat, -100, "/", 0)); });
      INFO(name(caller));
      CHECK(worker.finish().killed_by(SIGSYS));
    }
  }
}

TEST_CASE("when process 1 is killed, its workers die with it") {
  for (const Caller caller : callers()) {
    Worker worker(caller, Profile::strict);
    REQUIRE(worker.locked());
    const pid_t process_one = only_child(worker.child.pid());
    const int one = static_cast<int>(syscall(SYS_pidfd_open, only_child(process_one), 0));
    REQUIRE(one >= 0);
    kill(process_one, SIGKILL);
    pollfd ended{one, POLLIN, 0};
    INFO(name(caller));
    CHECK(poll(&ended, 1, 10'000) == 1);
    char byte;
    CHECK(recv(worker.sockets.mine, &byte, 1, 0) == 0);
    close(one);
    worker.finish();
  }
}

TEST_CASE("a worker's memory ends where its limits say, and it can go on") {
  for (const Caller caller : callers()) {
    Worker worker(caller, Profile::strict, [] {
      const auto map = [](std::size_t size) {
        return outcome(
            mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
      };
      return in_order({map(128 << 20), map(8 << 20)});
    });
    const Ending ending = worker.finish();
    INFO(name(caller));
    CHECK(ending.exited(0));
    CHECK(ending.said == "ENOMEM ok");
  }
}
