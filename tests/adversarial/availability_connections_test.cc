// How much one client can harm another by the connections, partial frames, unread answers and open calls that it holds.
// Each attack runs as the good client's own user and, if the tests run as root, as another user.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/as_nobody.h"
#include "tests/support/as_user.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/raw_connection.h"
#include "tests/support/skips.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const Module kGood{"good", R"js(
    exports.add = ({ a, b }) => a + b;
    exports.size = (bytes) => bytes.length;
    exports.bytes = ({ n }) => new Uint8Array(n);
    exports.hang = () => new Promise(() => {});
)js"};
const Module kEvil{"evil", kGood.code};

constexpr std::size_t kMega = std::size_t{1} << 20;

struct Scene {
  explicit Scene(std::vector<std::string> flags) : daemon({.modules = {kGood, kEvil}, .flags = with_mode(flags)}) {
    REQUIRE(::chmod(daemon.folder()->path().c_str(), 0755) == 0);
  }

  std::unique_ptr<RawConnection> connect(std::optional<uid_t> user) const {
    const As as(user);
    auto connection = std::make_unique<RawConnection>(daemon.socket_path());
    connection->send(RawConnection::frame_of(ipc::ClientHello{.protocol_version = ipc::kProtocolVersion}));
    return connection;
  }

  // Checks that a new client is served, with a small payload, a large payload and a large result.
  void check_served(std::size_t large) const {
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {"good", "add", R"({"a":1,"b":2})"})) == "3");
    const std::string payload(large, 'x');
    const ipc::CallRequest request{.module = "good",
                                   .version = "v1",
                                   .function = "size",
                                   .payload = ipc::as_bytes(payload),
                                   .encoding = ipc::Encoding::bytes};
    for (int i = 0; i < 3; ++i) CHECK(outcome(client.call(request)) == std::to_string(large));
    CHECK(code_of(call(client, {"good", "bytes", "{\"n\":" + std::to_string(large) + "}"})) == "result");
  }

  // The supervisor's anonymous resident memory, in bytes.
  std::uint64_t resident() const {
    const std::string status = read_file("/proc/" + std::to_string(daemon.pid()) + "/status");
    const auto at = status.find("RssAnon:");
    return std::stoull(status.substr(at + 8)) << 10;
  }

  Daemon daemon;

 private:
  static std::vector<std::string> with_mode(std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--socket-mode", "0666"});
    return flags;
  }
};

std::string call_frame(std::uint64_t id, const std::string& function, std::string_view payload,
                       ipc::Encoding encoding = ipc::Encoding::json) {
  return RawConnection::frame_of(ipc::CallRequest{.id = id,
                                                  .module = "evil",
                                                  .version = "v1",
                                                  .function = function,
                                                  .payload = ipc::as_bytes(payload),
                                                  .encoding = encoding,
                                                  .timeout = std::chrono::hours(1)});
}

bool greeted(RawConnection& connection) {
  bool was_greeted = false;
  connection.receive(
      [&](const ipc::ServerMessage& message) {
        was_greeted = was_greeted || std::holds_alternative<ipc::ServerHello>(message);
      },
      seconds(20));
  return was_greeted;
}

TEST_CASE("idle connections do not take the place of another client") {
  for (const auto& attacker : attackers()) {
    CAPTURE(attacker.has_value());
    Scene scene({"--max-clients", "40"});
    std::vector<std::unique_ptr<RawConnection>> idle;
    for (int i = 0; i < 100; ++i) idle.push_back(scene.connect(attacker));
    scene.check_served(1000);
    // The newest connections are open. Those that were idle for the longest were closed, and were told why.
    CHECK_FALSE(idle.back()->is_closed());
    CHECK(contains(idle.front()->read_to_end(), "idle for the longest"));
    scene.daemon.stop();
  }
}

TEST_CASE("connections with open calls take no other user's place, and all of one user's places are at most its bound" *
          needs_root_for_holdfastd()) {
  Scene scene({"--max-clients", "40"});
  std::vector<std::unique_ptr<RawConnection>> busy;
  for (int i = 0; i < 60; ++i) {
    busy.push_back(scene.connect(kNobody));
    busy.back()->send(call_frame(1, "hang", "null"));
    busy.back()->send(RawConnection::frame_of(ipc::ListWorkersRequest{1}));
    if (i >= 30) continue;
    // The call is open once the request behind it is answered.
    bool was_listed = false;
    const auto look = [&](const ipc::ServerMessage& message) {
      was_listed = was_listed || std::holds_alternative<ipc::WorkerList>(message);
    };
    while (!was_listed) REQUIRE(busy.back()->receive(look, minutes(1)) == RawConnection::Received::something);
  }
  scene.check_served(1000);
  CHECK(contains(busy.back()->read_to_end(), "too many connections: 30 in all, 30 of this user"));
  scene.daemon.stop();
}

TEST_CASE("parts of frames that stall do not cut off a client that sends a frame in full") {
  for (const auto& attacker : attackers()) {
    CAPTURE(attacker.has_value());
    Scene scene({"--client-memory", "64MB"});
    const std::string frame = call_frame(1, "size", std::string(16 * kMega, 'x'), ipc::Encoding::bytes);
    std::vector<std::unique_ptr<RawConnection>> stalled;
    for (int i = 0; i < 50; ++i) {
      stalled.push_back(scene.connect(attacker));
      stalled.back()->send(std::string_view(frame).substr(0, 4 * kMega));
    }
    scene.check_served(16 * kMega);
    // 200 MB were sent. A user may have three quarters of 64 MB; the oldest partial frames were dropped.
    CHECK(contains(stalled.front()->read_to_end(), "memory for incomplete frames is short"));
    CHECK(scene.resident() < 150 * kMega);
    scene.daemon.stop();
  }
}

TEST_CASE("a part of a frame that makes no progress is dropped even if it is small") {
  Scene scene({});
  const auto large = scene.connect({}), small = scene.connect({}), whole = scene.connect({});
  const std::string frame = call_frame(1, "size", std::string(kMega, 'x'), ipc::Encoding::bytes);
  large->send(std::string_view(frame).substr(0, kMega / 2));
  small->send(std::string_view(frame).substr(0, 3));
  CHECK(contains(large->read_to_end(), "the rest of a frame did not come in time"));
  CHECK(contains(small->read_to_end(), "the rest of a frame did not come in time"));
  CHECK_FALSE(whole->is_closed());
  CHECK_FALSE(contains(scene.daemon.log(), "protocol violation"));
  scene.daemon.stop();
}

TEST_CASE("answers that nobody reads are bounded over all connections of a user") {
  for (const auto& attacker : attackers()) {
    CAPTURE(attacker.has_value());
    Scene scene({"--client-memory", "64MB"});
    std::vector<std::unique_ptr<RawConnection>> deaf;
    for (int i = 0; i < 12; ++i) {
      deaf.push_back(scene.connect(attacker));
      deaf.back()->send(call_frame(1, "bytes", R"({"n":12000000})"));
    }
    CHECK(eventually([&] { return contains(scene.daemon.log(), "of answers unread, and memory for"); }));
    scene.check_served(16 * kMega);
    CHECK(scene.resident() < 150 * kMega);
    scene.daemon.stop();
  }
}

TEST_CASE("payloads of calls that wait do not use up the memory of other clients") {
  for (const auto& attacker : attackers()) {
    CAPTURE(attacker.has_value());
    Scene scene({"--client-memory", "64MB", "--concurrency", "4"});
    std::vector<std::unique_ptr<RawConnection>> hoarding;
    // These calls take all of the module's places, and are not answered.
    hoarding.push_back(scene.connect(attacker));
    for (std::uint64_t id = 1; id <= 4; ++id) hoarding.back()->send(call_frame(id, "hang", "null"));
    const std::string payload(8 * kMega, 'x');
    for (int i = 0; i < 10; ++i) {
      hoarding.push_back(scene.connect(attacker));
      hoarding.back()->send(call_frame(1, "size", payload, ipc::Encoding::bytes));
    }
    CHECK(greeted(*hoarding.back()));
    for (int i = 0; i < 5; ++i) scene.check_served(16 * kMega);
    // The module's waiting calls are served once its places are free.
    hoarding.front().reset();
    scene.daemon.stop();
  }
}

TEST_CASE("calls that a worker has begun with large payloads do not use up the memory of other clients") {
  for (const auto& attacker : attackers()) {
    CAPTURE(attacker.has_value());
    Scene scene({"--client-memory", "64MB", "--memory", "256MB"});
    std::vector<std::unique_ptr<RawConnection>> hoarding;
    const std::string payload(8 * kMega, 'x');
    for (int i = 0; i < 10; ++i) {
      hoarding.push_back(scene.connect(attacker));
      hoarding.back()->send(call_frame(1, "hang", payload, ipc::Encoding::bytes));
      CHECK(greeted(*hoarding.back()));
    }
    // A worker reads its calls in order, so its answer shows that it has read those.
    ipc::Client client = scene.daemon.connect();
    CHECK(outcome(call(client, {"evil", "add", R"({"a":1,"b":2})"})) == "3");
    for (int i = 0; i < 3; ++i) scene.check_served(16 * kMega);
    scene.daemon.stop();
  }
}

TEST_CASE("calls that wait do not take the place in the queues of another client") {
  for (const std::string flag : {"--queue-limit", "--total-queue-limit"}) {
    for (const auto& attacker : attackers()) {
      CAPTURE(attacker.has_value());
      Scene scene({flag, "40", "--concurrency", "4"});
      std::vector<std::unique_ptr<RawConnection>> waiting;
      for (int i = 0; i < 6; ++i) {
        waiting.push_back(scene.connect(attacker));
        for (std::uint64_t id = 1; id <= 16; ++id) waiting.back()->send(call_frame(id, "hang", "null"));
        CHECK(greeted(*waiting.back()));
      }
      // The queue is full, and no call in it is going to end. A call of another user is accepted all the same.
      ipc::Client client = scene.daemon.connect();
      Calls calls(client);
      calls.start({.module = "evil", .function = "hang", .timeout = minutes(5)});
      CHECK(outcome(call(client, {"good", "add", R"({"a":1,"b":2})"})) == "3");
      CHECK_FALSE(calls.is_answered(0));
      waiting.clear();
      scene.daemon.stop();
    }
  }
}

// Each worker takes one call at a time, and each module has one worker beside that of its quarantine.
std::vector<std::string> with_queue_limit(std::size_t limit) {
  return {"--queue-limit",   std::to_string(limit),
          "--concurrency",   "1",
          "--max-instances", "1",
          "--max-workers",   "8",
          "--stretch",       "200ms"};
}

// Starts calls that do not end: one for a worker of the module, which is then one of `busy` that have a call, and
// `count` calls that wait for it.
void keep_waiting(ipc::Client& client, Calls& calls, const CallTo& endless, std::uint32_t busy, std::size_t count) {
  calls.start(endless);
  REQUIRE(eventually([&] { return stats_of(client, endless.module).calls_in_flight == busy; }));
  for (std::size_t i = 0; i < count; ++i) calls.start(endless);
}

TEST_CASE(
    "in a full queue a call of the same queue gives way and not one that waits for the quarantine of the module") {
  constexpr std::size_t kPlaces = 4;
  Scene scene(with_queue_limit(kPlaces));
  scene.daemon.add_module({"both", "exports.f = (kills) => { while (kills); return new Promise(() => {}); };"});
  const CallTo endless{.module = "both", .function = "f", .payload = "false", .timeout = minutes(5)};
  {
    // If both queues counted as one, the connection that came first would have the most calls in it.
    ipc::Client guilty = scene.daemon.connect();
    ipc::Client clean = scene.daemon.connect();
    ipc::Client newcomer = scene.daemon.connect();
    Calls in_quarantine(guilty), in_queue(clean), further(newcomer);
    REQUIRE(code_of(call(guilty, {"both", "f", "true"})) == "cpu_exceeded");
    keep_waiting(guilty, in_quarantine, endless, 1, kPlaces);
    REQUIRE(stats_of(guilty, "both").queued == kPlaces);
    keep_waiting(clean, in_queue, endless, 2, kPlaces);
    REQUIRE(stats_of(clean, "both").queued == 2 * kPlaces);

    further.start(endless);
    // The supervisor sends statistics after all answers that are due.
    CHECK(stats_of(newcomer, "both").queued == 2 * kPlaces);
    CHECK(further.order().empty());
    CHECK(stats_of(guilty, "both").calls_in_flight == 2);
    CHECK(in_quarantine.order().empty());
    CHECK(stats_of(clean, "both").calls_in_flight == 2);
    CHECK(in_queue.order() == std::vector<std::size_t>{kPlaces});
    CHECK(in_queue.count("overloaded") == 1);
  }
  scene.daemon.stop();
}

TEST_CASE("each of several full queues makes room for the first call of a client even if all calls come at once") {
  // So many places that it takes long to look through them.
  constexpr std::size_t kPlaces = 200;
  Scene scene(with_queue_limit(kPlaces));
  const std::vector<std::string> names = {"full-1", "full-2", "full-3", "full-4"};
  const auto endless = [](const std::string& name) {
    return CallTo{.module = name, .function = "hang", .timeout = minutes(5)};
  };
  {
    ipc::Client client = scene.daemon.connect();
    ipc::Client newcomer = scene.daemon.connect();
    Calls calls(client), further(newcomer);
    for (const std::string& name : names) {
      scene.daemon.add_module({name, kGood.code});
      keep_waiting(client, calls, endless(name), 1, kPlaces);
      REQUIRE(stats_of(client, name).queued == kPlaces);
    }
    for (const std::string& name : names) further.start(endless(name));
    for (const std::string& name : names) CHECK(stats_of(newcomer, name).queued == kPlaces);
    CHECK(further.order().empty());
    CHECK(stats_of(client, names.front()).queued == kPlaces);
    CHECK(calls.order().size() == names.size());
    CHECK(calls.count("overloaded") == names.size());
  }
  scene.daemon.stop();
}

TEST_CASE(
    "a user that calls a thousand modules, while no loader says anything, keeps no other user's from being loaded" *
    needs_root_for_holdfastd()) {
  Scene scene({"--allow-loader", "0", "--loader-timeout", "10m"});
  ipc::Client loader = scene.daemon.connect();
  std::vector<std::uint64_t> of_others;
  std::optional<std::uint64_t> mine;
  REQUIRE(loader
              .register_deferred_loader([&](std::uint64_t id, const ipc::ModuleName& name) {
                if (name.module == "mine") {
                  mine = id;
                } else {
                  of_others.push_back(id);
                }
              })
              .has_value());
  const auto attacker = scene.connect(kNobody);
  constexpr std::uint64_t kNames = 1024;
  for (std::uint64_t i = 1; i <= kNames; ++i) {
    attacker->send(RawConnection::frame_of(ipc::CallRequest{.id = i,
                                                            .module = "silent-" + std::to_string(i),
                                                            .version = "v1",
                                                            .function = "f",
                                                            .timeout = std::chrono::hours(1)}));
  }
  // A user may have three quarters of 1024.
  REQUIRE(eventually([&] {
    loader.run_once(milliseconds(10));
    return of_others.size() == 768;
  }));
  ipc::Client client = scene.daemon.connect();
  Calls calls(client);
  const auto place = calls.start({"mine", "ping"});
  REQUIRE(eventually([&] {
    client.run_once(milliseconds(0));
    loader.run_once(milliseconds(1));
    if (mine)
      loader.give_source(*std::exchange(mine, std::nullopt), ipc::LoadedSource{"exports.ping = () => 'pong';", ""});
    return calls.is_answered(place);
  }));
  CHECK(outcome(calls.answer(place)) == "\"pong\"");
  scene.daemon.stop();
}

// --- what users are shown -------------------------------------------------------------------------------------------

std::optional<ipc::Stats> stats_as(const Scene& scene, uid_t user) {
  const As as(user);
  auto client = ipc::Client::connect(scene.daemon.socket_path());
  REQUIRE(client.has_value());
  auto stats = client->stats();
  if (!stats) return std::nullopt;
  return *stats;
}

TEST_CASE("statistics and lists show a user what it called, and everything to root and to who may read logs" *
          needs_root_for_holdfastd()) {
  Scene scene({"--allow-logs", "1234"});
  const Module secretive{"secretive", "throw new Error('cannot connect with password hunter2');"};
  scene.daemon.add_module(secretive);
  ipc::Client client = scene.daemon.connect();
  for (int i = 0; i < 8; ++i) CHECK(code_of(call(client, {"secretive", "f"})) != "result");
  CHECK(outcome(call(client, {"good", "add", R"({"a":1,"b":2})"})) == "3");
  {
    const As as(kNobody);
    auto other = ipc::Client::connect(scene.daemon.socket_path());
    REQUIRE(other.has_value());
    CHECK(outcome(call(*other, {"evil", "add", R"({"a":1,"b":2})"})) == "3");
    CHECK(code_of(call(*other, {"secretive", "f"})) != "result");
    const auto list = other->list_workers();
    REQUIRE(list.has_value());
    for (const auto& worker : list->workers) CHECK((worker.module.empty() || worker.module == "evil"));
  }
  const auto seen = stats_as(scene, kNobody);
  REQUIRE(seen.has_value());
  CHECK(seen->modules.size() == 2);
  for (const auto& module : seen->modules) {
    CHECK(module.module != "good");
    CHECK(module.held_off_reason.empty());
  }
  for (const uid_t user : {uid_t{0}, uid_t{1234}}) {
    const auto all = stats_as(scene, user);
    REQUIRE(all.has_value());
    CHECK(all->modules.size() == 3);
  }
  CHECK(stats_as(scene, 4321)->modules.empty());
  scene.daemon.stop();
}

TEST_CASE("other clients are served while clients ask for statistics of very many modules again and again") {
  Scene scene({});
  ipc::Client client = scene.daemon.connect();
  // Each module has a file, so that it stays known.
  constexpr int kModules = 3000;
  for (int i = 0; i < kModules; ++i) scene.daemon.add_module({"m" + std::to_string(i), "exports.f = () => 1;"});
  Calls calls(client);
  for (int i = 0; i < kModules; ++i) {
    calls.start({.module = "m" + std::to_string(i), .function = "f", .timeout = milliseconds(1)});
    if (calls.size() % 500 == 0) calls.wait_for_all();
  }
  calls.wait_for_all();
  std::vector<std::unique_ptr<RawConnection>> curious;
  for (int i = 0; i < 8; ++i) {
    curious.push_back(scene.connect({}));
    for (std::uint64_t id = 1; id <= 50; ++id) curious.back()->send(RawConnection::frame_of(ipc::StatsRequest{id}));
  }
  for (int i = 0; i < 50; ++i) CHECK(outcome(call(client, {"good", "add", R"({"a":1,"b":2})"})) == "3");
  const auto stats = client.stats();
  REQUIRE(stats.has_value());
  CHECK(stats->modules.size() == kModules + 1);
  CHECK(stats->totals.modules == kModules + 1);
  for (auto& connection : curious) CHECK_FALSE(connection->is_closed());
  scene.daemon.stop();
}

TEST_CASE("other clients are served while connections send very many messages") {
  for (const auto& attacker : attackers()) {
    CAPTURE(attacker.has_value());
    Scene scene({});
    // As many messages as the sockets take, of the kinds that are cheapest for the sender.
    std::string messages;
    for (std::uint64_t id = 1; id <= 500; ++id) messages += RawConnection::frame_of(ipc::CancelRequest{id});
    std::vector<std::unique_ptr<RawConnection>> noisy;
    for (int i = 0; i < 100; ++i) noisy.push_back(scene.connect(attacker));
    const auto make_noise = [&] {
      for (auto& connection : noisy) connection->send_some(messages);
    };
    ipc::Client client = scene.daemon.connect();
    for (int i = 0; i < 50; ++i) {
      make_noise();
      CHECK(outcome(call(client, {"good", "add", R"({"a":1,"b":2})"})) == "3");
    }
    for (auto& connection : noisy) CHECK_FALSE(connection->is_closed());
    scene.daemon.stop();
  }
}

}  // namespace
}  // namespace holdfast::test
