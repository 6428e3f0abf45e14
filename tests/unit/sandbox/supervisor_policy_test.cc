#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "sandbox/privileges.h"
#include "sandbox/seccomp_policy.h"
#include "tests/unit/sandbox/test_support.h"

using namespace holdfast::sandbox;
using namespace holdfast::sandbox::test;

namespace {

// Runs the body in a plain child with no_new_privs and the supervisor's system calls.
Ending run_as_supervisor(const Body& body) {
  return start_child(Caller::itself,
                     [&](SharedNotes& notes) {
                       require(notes, drop_privileges());
                       const auto program = compile(supervisor_policy(ClientDescriptors::refused));
                       if (!program) require(notes, tl::unexpected(program.error()));
                       require(notes, load(*program));
                       run_and_leave(notes, body);
                     })
      .finish();
}

// A service's datagram socket, of the kind that many hosts have: /dev/log, the service manager's, the wireless
// daemon's.
class Service {
 public:
  Service() {
    char folder[] = "/tmp/holdfast-test-XXXXXX";
    if (::mkdtemp(folder) == nullptr) std::abort();
    folder_ = folder;
    address_.sun_family = AF_UNIX;
    std::snprintf(address_.sun_path, sizeof address_.sun_path, "%s/socket", folder);
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (::bind(socket_, address(), sizeof address_) != 0) std::abort();
  }
  ~Service() {
    ::close(socket_);
    ::unlink(address_.sun_path);
    ::rmdir(folder_.c_str());
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
  bool heard_something() const {
    char byte;
    return ::recv(socket_, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0;
  }

 private:
  std::string folder_;
  sockaddr_un address_{};
  int socket_ = -1;
};

}  // namespace

TEST_CASE("the supervisor has no socket that reaches a service of the host") {
  const Service service;
  SUBCASE("by sendto(2)") {
    run_as_supervisor([&] {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0) return outcome(-1);
      return outcome(::sendto(ends[0], "x", 1, 0, service.address(), sizeof(sockaddr_un)));
    });
  }
  SUBCASE("by sendmsg(2)") {
    run_as_supervisor([&] {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0) return outcome(-1);
      char byte = 'x';
      iovec piece = {&byte, 1};
      msghdr message{};
      message.msg_name = const_cast<sockaddr*>(service.address());
      message.msg_namelen = sizeof(sockaddr_un);
      message.msg_iov = &piece;
      message.msg_iovlen = 1;
      return outcome(::sendmsg(ends[0], &message, 0));
    });
  }
  CHECK_FALSE(service.heard_something());
}

TEST_CASE("the supervisor's sockets among its own processes can be made") {
  const Ending ending = run_as_supervisor([] {
    int ends[2];
    return outcome(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
  });
  CHECK(ending.said == "ok");
  CHECK(ending.exited(0));
}

TEST_CASE("the supervisor can ask a socket for the user of its peer, and for nothing else") {
  const auto ask = [](int level, int option) {
    return run_as_supervisor([=] {
      int ends[2];
      ucred peer;
      socklen_t size = sizeof peer;
      if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return outcome(-1);
      return outcome(::getsockopt(ends[0], level, option, &peer, &size));
    });
  };
  CHECK(ask(SOL_SOCKET, SO_PEERCRED).said == "ok");
  CHECK(ask(SOL_SOCKET, SO_PEERSEC).killed_by(SIGSYS));
  CHECK(ask(SOL_IP, SO_PEERCRED).killed_by(SIGSYS));
}

TEST_CASE("the supervisor can open no file, start no program, and make no memory executable") {
  const auto page = [] { return ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); };
  CHECK(run_as_supervisor([] { return outcome(::open("/etc/passwd", O_RDONLY)); }).killed_by(SIGSYS));
  CHECK(run_as_supervisor([] { return outcome(::execl("/bin/true", "true", nullptr)); }).killed_by(SIGSYS));
  CHECK(run_as_supervisor([] { return outcome(::socket(AF_UNIX, SOCK_STREAM, 0)); }).killed_by(SIGSYS));
  CHECK(run_as_supervisor([] { return outcome(syscall(SYS_fork)); }).killed_by(SIGSYS));
  CHECK(run_as_supervisor([] { return outcome(syscall(SYS_pidfd_open, ::getppid(), 0)); }).killed_by(SIGSYS));
  CHECK(run_as_supervisor([&] { return outcome(::mprotect(page(), 4096, PROT_READ | PROT_EXEC)); }).killed_by(SIGSYS));
}
