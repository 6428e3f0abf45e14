// Clients that send descriptors whose close(2) blocks for long. The kernel closes such a descriptor in the process that
// reads or closes the socket, so that must never be a process that serves others.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "tests/adversarial/lingering.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/raw_connection.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

const Module kBeside = {"good", "exports.add = ({ a, b }) => a + b;"};
const ipc::ModuleName kNameOfGood = {"good", "v1"};

// Checks that the supervisor's event loop runs: a call has its answer long before the descriptor's close would be over.
void check_serves_beside(ipc::Client& client) {
  CHECK(outcome(call(client, {"good", "add", R"({"a":1,"b":2})", kHangGuard})) == "3");
}

std::string hello() { return RawConnection::frame_of(ipc::ClientHello{}); }

struct Attack {
  const char* name;
  std::function<int(Daemon&, const Lingering&)> run;  // sends the descriptor; returns 0, or errno
};

// Acts while the supervisor is stopped, so that it finds everything at once when it goes on.
void while_stopped(Daemon& daemon, const std::function<void()>& act) {
  daemon.signal(SIGSTOP);
  REQUIRE(eventually([&] { return status_field(daemon.pid(), "State").starts_with('T'); }));
  act();
  daemon.signal(SIGCONT);
}

const std::vector<Attack>& attacks() {
  static const std::vector<Attack> all = {
      {"before the hello",
       [](Daemon& daemon, const Lingering& slow) {
         RawConnection evil(daemon.socket_path());
         return send_descriptors(evil.fd(), std::string_view("\0", 1), std::array{slow.get()});
       }},
      {"with the hello",
       [](Daemon& daemon, const Lingering& slow) {
         RawConnection evil(daemon.socket_path());
         return send_descriptors(evil.fd(), hello(), std::array{slow.get()});
       }},
      {"behind the hello",
       [](Daemon& daemon, const Lingering& slow) {
         RawConnection evil(daemon.socket_path());
         evil.send(hello());
         REQUIRE(evil.receive([](const auto&) {}, kHangGuard) == RawConnection::Received::something);
         return send_descriptors(evil.fd(), RawConnection::frame_of(ipc::ListWorkersRequest{1}),
                                 std::array{slow.get()});
       }},
      {"as many as a message takes",
       [](Daemon& daemon, const Lingering& slow) {
         RawConnection evil(daemon.socket_path());
         return send_descriptors(evil.fd(), hello(), std::vector<int>(253, slow.get()));
       }},
      {"out of band",
       [](Daemon& daemon, const Lingering& slow) {
         RawConnection evil(daemon.socket_path());
         evil.send(hello());
         const int sent = send_descriptors(evil.fd(), "x", std::array{slow.get()}, MSG_OOB);
         evil.send(RawConnection::frame_of(ipc::ListWorkersRequest{1}));
         return sent;
       }},
      {"before it is accepted",
       [](Daemon& daemon, const Lingering& slow) {
         int sent = 0;
         while_stopped(daemon, [&] {
           RawConnection evil(daemon.socket_path());
           sent = send_descriptors(evil.fd(), hello(), std::array{slow.get()});
         });
         return sent;
       }},
      {"behind what it is cut off for",
       [](Daemon& daemon, const Lingering& slow) {
         RawConnection evil(daemon.socket_path());
         int sent = 0;
         while_stopped(daemon, [&] {
           // More bytes than one read takes, so that the descriptor is unread when the connection is closed.
           evil.send_some(std::string(100'000, '\xff'));
           sent = send_descriptors(evil.fd(), "x", std::array{slow.get()}, MSG_DONTWAIT);
         });
         return sent;
       }},
  };
  return all;
}

void check_attacks(bool before_pass_rights) {
  Daemon daemon({.modules = {kBeside}, .flags = {"--log-level", "error"}, .before_pass_rights = before_pass_rights});
  ipc::Client client = daemon.connect();
  check_serves_beside(client);
  std::list<Lingering> held;
  for (const Attack& attack : attacks()) {
    CAPTURE(attack.name);
    Lingering& slow = held.emplace_back();
    if (attack.run(daemon, slow) == 0) slow.leave_to_receiver();
    check_serves_beside(client);
    ipc::Client next = daemon.connect();
    check_serves_beside(next);
  }
  daemon.stop();
}

TEST_CASE("a descriptor whose close lasts does not delay other clients") { check_attacks(false); }

TEST_CASE("a descriptor whose close lasts does not delay other clients on a kernel that lets clients send it") {
  check_attacks(true);
}

TEST_CASE(
    "a descriptor whose close lasts does not delay other callers of the module when it is sent on a direct line") {
  Daemon daemon({.modules = {kBeside}, .flags = {"--direct-line"}});
  ipc::Client client = daemon.connect();
  check_serves_beside(client);
  ipc::Client evil = daemon.connect();
  REQUIRE(evil.open_line(kNameOfGood).has_value());
  REQUIRE(evil.line_fds().size() == 1);
  Lingering slow;
  if (send_descriptors(evil.line_fds().front(), "x", std::array{slow.get()}) == 0) slow.leave_to_receiver();
  check_serves_beside(client);
}

TEST_CASE("holdfastd refuses a --client-fd on which a descriptor was sent") {
  const TemporaryFolder folder;
  for (int flags : {0, int{MSG_OOB}}) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const UniqueFd ours(ends[0]), theirs(ends[1]);
    const Lingering slow;
    REQUIRE(::send(ours.get(), hello().data(), hello().size(), 0) > 0);
    REQUIRE(send_descriptors(ours.get(), "x", std::array{slow.get()}, flags) == 0);
    const Finished ended =
        run({supervisor_program(), "--client-fd", std::to_string(theirs.get()), "--modules", folder.path()},
            {.inherited = {theirs.get()}});
    CHECK(ended.status == 1);
    CHECK(contains(ended.errors, "descriptors were sent on this socket"));
  }
}

}  // namespace
}  // namespace holdfast::test
