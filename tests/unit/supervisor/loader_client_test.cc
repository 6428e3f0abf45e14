// The client library as a loader of modules, with the supervisor's own session at the other end of a socketpair.
#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ipc/client.h"
#include "supervisor/modules/module_source.h"
#include "supervisor/net/event_loop.h"
#include "tests/unit/supervisor/session_support.h"

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

// A real session, whose event loop runs in a thread of its own because the client waits in the test's thread. The
// owner's actions are posted to that loop.
class Supervisor {
 public:
  Supervisor() {
    auto [near, far] = testing::connected_sockets();
    near_ = std::move(near);
    Connection::Socket socket(io_);
    socket.assign(boost::asio::local::stream_protocol(), far.release());
    owner.session = std::make_shared<ClientSession>(ClientId{7}, turn_, std::move(socket), owner,
                                                    std::make_shared<ClientAccounts>(100, std::uint64_t{512} << 20));
    owner.session->start();
    thread_ = std::thread([this] { run(io_, turn_, 0ns, [] { return WaitFor::calls; }); });
  }
  ~Supervisor() {
    io_.stop();
    thread_.join();
    owner.session.reset();  // the session must go before its event loop
  }
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  ipc::Client connect() {
    auto client = ipc::Client::adopt(std::move(near_));
    REQUIRE(client.has_value());
    return std::move(*client);
  }

  // Runs `what` in the session's thread and returns its result.
  template <typename What>
  auto in_session(What what) {
    std::promise<decltype(what())> done;
    boost::asio::post(io_, [&] { done.set_value(what()); });
    return done.get_future().get();
  }
  void want(std::uint64_t id, const std::string& module) {
    in_session([&] {
      owner.session->want_source(id, {module, "v1"});
      return true;
    });
  }
  Lines given() {
    return in_session([&] { return owner.given; });
  }

  testing::ScriptedOwner owner;

 private:
  testing::QuietLog quiet_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  Turn turn_;
  UniqueFd near_;
  std::thread thread_;
};

// Serves the client until `done`; only a failing test waits for the timeout.
void serve_until(ipc::Client& client, const std::function<bool()>& done) {
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (!done() && std::chrono::steady_clock::now() < give_up) client.run_once(10ms);
  REQUIRE(done());
}

std::string code(std::uint64_t id, std::string_view text, std::string_view file) {
  return ipc::testing::describe(ipc::SourceReply{id, ipc::SourceCode{ipc::as_bytes(text), file}});
}
std::string failure(std::uint64_t id, std::string_view reason) {
  return ipc::testing::describe(ipc::SourceReply{id, ipc::SourceFailed{reason}});
}

TEST_CASE("a loader gives what its handler returns for each module that is wanted") {
  Supervisor supervisor;
  ipc::Client client = supervisor.connect();
  const auto registered = client.register_loader(
      [](const ipc::ModuleName& name) -> ipc::LoadOutcome {
        if (name.module == "missing") return ipc::NoSuchModule{};
        if (name.module == "broken") return ipc::LoadFailure{"the disk is gone"};
        return ipc::LoadedSource{"exports.name = '" + to_string(name) + "'", {}};
      },
      3s);
  REQUIRE(registered.has_value());
  supervisor.want(1, "sum");
  supervisor.want(2, "missing");
  supervisor.want(3, "broken");
  serve_until(client, [&] { return supervisor.given().size() == 3; });
  CHECK(supervisor.given() == Lines{code(1, "exports.name = 'sum@v1'", "sum-v1.js"),
                                    ipc::testing::describe(ipc::SourceReply{2, ipc::SourceNotFound{}}),
                                    failure(3, "the disk is gone")});
  CHECK(supervisor.in_session([&] { return supervisor.owner.loader_timeout; }) == 3s);
}

TEST_CASE("a client that may not load modules gets an error and goes on as a client") {
  Supervisor supervisor;
  ipc::Client client = supervisor.connect();
  supervisor.in_session([&] {
    supervisor.owner.loader_error =
        ipc::Error{.code = ipc::ErrorCode::permission_denied, .message = "not you", .stack = {}, .detail = {}};
    return true;
  });
  const auto registered = client.register_loader([](const ipc::ModuleName&) { return ipc::NoSuchModule{}; });
  REQUIRE_FALSE(registered.has_value());
  CHECK(registered.error().code == ipc::ErrorCode::permission_denied);
  CHECK(registered.error().message == "not you");
  CHECK(client.list_workers().has_value());
}

TEST_CASE("a deferred loader gives modules later, in any order") {
  Supervisor supervisor;
  ipc::Client client = supervisor.connect();
  std::vector<std::uint64_t> wanted;
  REQUIRE(client.register_deferred_loader([&](std::uint64_t id, const ipc::ModuleName&) { wanted.push_back(id); })
              .has_value());
  supervisor.want(10, "one");
  supervisor.want(20, "two");
  serve_until(client, [&] { return wanted.size() == 2; });
  CHECK(wanted == std::vector<std::uint64_t>{10, 20});
  client.give_source(20, ipc::LoadedSource{"2", "second.js"});
  client.give_source(10, ipc::LoadedSource{"1", {}});
  serve_until(client, [&] { return supervisor.given().size() == 2; });
  CHECK(supervisor.given() == Lines{code(20, "2", "second.js"), code(10, "1", "one-v1.js")});
}

TEST_CASE("code beyond the size limit of a module is reported as a failure and the session goes on") {
  Supervisor supervisor;
  ipc::Client client = supervisor.connect();
  const std::string large(std::size_t{40} << 20, 'x');
  REQUIRE(client.register_loader([&](const ipc::ModuleName&) { return ipc::LoadedSource{large, {}}; }).has_value());
  supervisor.want(1, "large");
  serve_until(client, [&] { return supervisor.given().size() == 1; });
  CHECK(supervisor.given() ==
        Lines{failure(1, "the module's code has 41943040 bytes; the supervisor accepts at most 16777216")});
  CHECK(client.connected());
}

TEST_CASE("a loader's handler may wait for something that needs another module of the same loader") {
  Supervisor supervisor;
  ipc::Client client = supervisor.connect();
  REQUIRE(client
              .register_loader([&](const ipc::ModuleName& name) -> ipc::LoadOutcome {
                if (name.module == "outer") serve_until(client, [&] { return !supervisor.given().empty(); });
                return ipc::LoadedSource{name.module, "m.js"};
              })
              .has_value());
  supervisor.in_session([&] {
    supervisor.owner.session->want_source(1, {"outer", "v1"});
    supervisor.owner.session->want_source(2, {"inner", "v1"});
    return true;
  });
  serve_until(client, [&] { return supervisor.given().size() == 2; });
  CHECK(supervisor.given() == Lines{code(2, "inner", "m.js"), code(1, "outer", "m.js")});
}

TEST_CASE("a loader that was moved goes on where it was") {
  Supervisor supervisor;
  ipc::Client first = supervisor.connect();
  REQUIRE(first.register_loader([](const ipc::ModuleName&) { return ipc::LoadedSource{"1", "m.js"}; }).has_value());
  ipc::Client second = std::move(first);
  supervisor.want(1, "m");
  serve_until(second, [&] { return !supervisor.given().empty(); });
  CHECK(supervisor.given() == Lines{code(1, "1", "m.js")});
}

TEST_CASE("a client that offered nothing and is asked for a module ends the connection") {
  Supervisor supervisor;
  ipc::Client client = supervisor.connect();
  supervisor.want(1, "m");
  serve_until(client, [&] { return !client.connected(); });
  const auto workers = client.list_workers();
  REQUIRE_FALSE(workers.has_value());
  CHECK(workers.error().message.ends_with("a module's code was asked for, and no loader is registered"));
}

TEST_CASE("without a connection no loader can be registered") {
  std::optional<ipc::Client> client;
  {
    Supervisor supervisor;
    client = supervisor.connect();
  }
  const auto registered = client->register_loader([](const ipc::ModuleName&) { return ipc::NoSuchModule{}; });
  REQUIRE_FALSE(registered.has_value());
  CHECK(registered.error().code == ipc::ErrorCode::unavailable);
}

}  // namespace
}  // namespace holdfast::supervisor
