// The start of a session of the client library: the socket and the hellos.
#include <doctest/doctest.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <string>
#include <thread>

#include "tests/unit/ipc/client_support.h"

namespace holdfast::ipc {
namespace {

using namespace std::chrono_literals;
using namespace testing;

// --- hello ---------------------------------------------------------------------------------------------------------

TEST_CASE("hellos are exchanged first, and the client knows what the supervisor said") {
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  supervisor.send(kHello);
  const auto client = Client::adopt(std::move(near), {.name = "a test 1.0"});
  REQUIRE(client.has_value());
  CHECK(supervisor.receive() == "client hello version=2 name=10:a test 1.0");
  CHECK(testing::describe(client->server()) == testing::describe(kHello));
  CHECK(client->connected());
  CHECK(client->open_calls() == 0);
  CHECK(client->unsent_bytes() == 0);
}

TEST_CASE("a supervisor of another protocol version is refused, and both versions are named") {
  for (const std::uint16_t version : {std::uint16_t{0}, std::uint16_t{kProtocolVersion + 1}, std::uint16_t{0xFFFF}}) {
    auto [near, far] = stream_sockets();
    Supervisor supervisor(std::move(far));
    ServerHello hello = kHello;
    hello.protocol_version = version;
    supervisor.send(hello);
    const auto client = Client::adopt(std::move(near));
    REQUIRE_FALSE(client.has_value());
    CHECK(client.error().reason == ConnectError::Reason::version_mismatch);
    CHECK(client.error().message == "the supervisor (holdfastd 9.8.7) speaks protocol version " +
                                        std::to_string(version) + ", this client speaks " +
                                        std::to_string(kProtocolVersion));
  }
}

TEST_CASE("a version mismatch is told as such also when the supervisor ends the session right after its hello") {
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  ServerHello hello = kHello;
  hello.protocol_version = kProtocolVersion + 1;
  OutputBuffer out;
  encode(out, hello);
  encode(out, ProtocolViolation{"protocol version 1 is too old"});
  supervisor.send_bytes(as_text(out.data()));
  supervisor.close();
  const auto client = Client::adopt(std::move(near));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::version_mismatch);
}

TEST_CASE("a supervisor that refuses the session instead of a hello is quoted") {
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  supervisor.send(ProtocolViolation{"too many clients"});
  supervisor.close();
  const auto client = Client::adopt(std::move(near));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::protocol_error);
  CHECK(client.error().message == "the supervisor ended the session: too many clients");
}

TEST_CASE("a session that ends before the hello is an error") {
  auto [near, far] = stream_sockets();
  far.reset();
  const auto client = Client::adopt(std::move(near));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::protocol_error);
  CHECK(client.error().message == "the supervisor ended the session: it was closed");
}

TEST_CASE("a peer that is not a supervisor is an error") {
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  supervisor.send_bytes("HTTP/1.1 400 Bad Request\r\n\r\n");
  const auto client = Client::adopt(std::move(near));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::protocol_error);
  CHECK(client.error().message.find("the supervisor ended the session: the frame has") == 0);
}

TEST_CASE("a supervisor that says nothing is given up after the hello's timeout") {
  auto [near, far] = stream_sockets();
  const auto begin = Clock::now();
  const auto client = Client::adopt(std::move(near), {.hello_timeout = 50ms});
  const auto took = Clock::now() - begin;
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::cannot_connect);
  CHECK(client.error().message == "the supervisor did not answer within 50 ms");
  CHECK(took >= 50ms);
  CHECK(took < kTooLong);
}

TEST_CASE("a signal that arrives during the hello does not end the attempt") {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGUSR1, &action, nullptr) == 0);
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  const pthread_t client_thread = ::pthread_self();
  Script script([&] {
    supervisor.receive();
    for (int i = 0; i < 20; ++i) {
      ::pthread_kill(client_thread, SIGUSR1);
      std::this_thread::sleep_for(1ms);  // no event shows that the client waits again
    }
    supervisor.send(kHello);
  });
  const auto client = Client::adopt(std::move(near));
  CHECK_MESSAGE(client.has_value(), (client ? "" : client.error().message));
}

// --- connect -------------------------------------------------------------------------------------------------------

// A listening socket in a folder of its own, removed at the end.
class Listener {
 public:
  explicit Listener(int backlog) {
    std::string directory = (std::filesystem::temp_directory_path() / "holdfast-test-XXXXXX").string();
    REQUIRE(::mkdtemp(directory.data()) != nullptr);
    directory_ = directory;
    sockaddr_un address = this->address();
    socket_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(socket_.get(), backlog) == 0);
  }
  ~Listener() { std::filesystem::remove_all(directory_); }

  std::string path() const { return (directory_ / "s").string(); }
  sockaddr_un address() const {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
  }
  UniqueFd accept() { return UniqueFd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  void close() { socket_.reset(); }

 private:
  std::filesystem::path directory_;
  UniqueFd socket_;
};

TEST_CASE("a client connects by the socket's path") {
  Listener listener(5);
  Script script([&] {
    Supervisor supervisor(listener.accept());
    supervisor.receive();
    supervisor.send(kHello);
    const auto call = supervisor.receive_call();
    supervisor.answer(call.id, call.payload);
  });
  auto client = Client::connect(listener.path());
  REQUIRE(client.has_value());
  CHECK(summary(client->call(request("42"))) == "42");
}

TEST_CASE("where nobody listens, the error names the socket and says what to do") {
  const auto client = Client::connect("/nowhere/holdfast.sock");
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::cannot_connect);
  CHECK(
      client.error().message ==
      "cannot connect to /nowhere/holdfast.sock: No such file or directory; is holdfastd running, and on this socket? "
      "(--socket and HOLDFAST_SOCKET name another)");
}

TEST_CASE("a socket path that no address can hold is an error that says so") {
  const auto client = Client::connect(std::string(108, 'x'));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::cannot_connect);
  CHECK(client.error().message.find("has 108 bytes; at most 107 are allowed") != std::string::npos);
}

TEST_CASE("a supervisor that no longer accepts connections is given up after the hello's timeout") {
  Listener listener(0);
  const sockaddr_un address = listener.address();
  std::vector<UniqueFd> waiting;
  while (true) {
    waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(waiting.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) break;
  }
  std::atomic<bool> done = false;
  Script rescue([&] {
    const auto give_up = Clock::now() + 5s;
    while (!done && Clock::now() < give_up) std::this_thread::sleep_for(1ms);
    if (!done) listener.close();
  });
  const auto begin = Clock::now();
  const auto client = Client::connect(listener.path(), {.hello_timeout = 50ms});
  CHECK(Clock::now() - begin < 4s);
  done = true;
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::cannot_connect);
  CHECK(client.error().message == "the supervisor at " + listener.path() + " did not accept a connection within 50 ms");
}

}  // namespace
}  // namespace holdfast::ipc
