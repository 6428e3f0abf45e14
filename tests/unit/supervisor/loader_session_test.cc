// The session of a client that is a loader, over a real socket.
#include <doctest/doctest.h>
#include <unistd.h>

#include "supervisor/client_session.h"
#include "supervisor/modules/module_source.h"
#include "tests/unit/supervisor/session_support.h"

namespace holdfast::supervisor {
namespace {

using testing::call;
using testing::encoded;
using testing::SessionFixture;
using testing::source;
using Lines = std::vector<std::string>;

std::string given(std::uint64_t id, const ipc::SourceOutcome& outcome) {
  return ipc::testing::describe(ipc::SourceReply{id, outcome});
}
ipc::SourceCode code(std::string_view text, std::string_view file_name = "m.js") {
  return {ipc::as_bytes(text), file_name};
}

TEST_CASE_FIXTURE(SessionFixture,
                  "the owner says whether a client may load modules, and is told for how long it waits") {
  greet();
  send(encoded(ipc::RegisterLoaderRequest{5, std::chrono::seconds(2)}));
  CHECK(owner.loader_timeout == std::chrono::seconds(2));
  owner.loader_error = ipc::Error{};
  send(encoded(ipc::RegisterLoaderRequest{6}));
  CHECK(owner.loader_timeout == std::chrono::seconds(0));
  CHECK(client.news() == Lines{"loader 5 registered", "loader 6 refused"});
}

TEST_CASE_FIXTURE(SessionFixture, "a source that is wanted reaches the owner once, whatever it is") {
  greet();
  for (std::uint64_t id = 1; id <= 3; ++id) owner.session->want_source(id, {"m", "v1"});
  settle();
  CHECK(client.news() == Lines{"wanted 1 m@v1", "wanted 2 m@v1", "wanted 3 m@v1"});
  send(source(3, ipc::SourceNotFound{}) + source(1, code("exports.f = 1")) + source(2, ipc::SourceFailed{"why"}));
  send(source(3, ipc::SourceNotFound{}) + source(1, code("another")));
  CHECK(owner.given ==
        Lines{given(3, ipc::SourceNotFound{}), given(1, code("exports.f = 1")), given(2, ipc::SourceFailed{"why"})});
  CHECK(owner.left == 0);
}

TEST_CASE_FIXTURE(SessionFixture, "a source that is not wanted, or not any more, is ignored") {
  greet();
  owner.session->want_source(1, {"m", "v1"});
  settle();
  owner.session->give_up_source(1);
  send(source(1, code("late")) + source(99, code("never")));
  CHECK(owner.given.empty());
  CHECK(owner.left == 0);
}

TEST_CASE_FIXTURE(SessionFixture, "code may be as large as a module may be, and what is larger is a failure") {
  const std::string most(ModuleSources::kMaxSourceBytes, 'x');
  greet();
  owner.session->want_source(1, {"m", "v1"});
  owner.session->want_source(2, {"m", "v1"});
  client.send(source(1, code(most)) + source(2, code(most + "x")));
  settle_reading();
  REQUIRE(owner.given.size() == 2);
  const bool whole = owner.given[0] == given(1, code(most));
  CHECK(whole);
  CHECK(owner.given[1] == given(2, ipc::SourceFailed{"the module's code has 16MB; at most 16MB are allowed"}));
  CHECK(owner.left == 0);
}

TEST_CASE_FIXTURE(SessionFixture, "the owner gets a file's name and a reason that are fit to show") {
  greet();
  for (std::uint64_t id = 1; id <= 4; ++id) owner.session->want_source(id, {"m", "v1"});
  send(source(1, code("", "")) + source(2, code("", "a\x1b[2J\n\xFF")) + source(3, code("", std::string(300, 'x'))) +
       source(4, ipc::SourceFailed{std::string(5000, '\xFF')}));
  REQUIRE(owner.given.size() == 4);
  CHECK(owner.given[0] == given(1, code("", "m-v1.js")));
  for (const char c : owner.given[1]) CHECK(static_cast<unsigned char>(c) >= 0x20);
  CHECK(owner.given[2].size() < 330);
  CHECK(owner.given[3].size() < 1100);
}

TEST_CASE_FIXTURE(SessionFixture,
                  "a client whose own calls wait for its module can give it, and its further calls are refused") {
  constexpr std::uint64_t kMost = ClientSession::kMaxCallsInFlight;
  greet();
  std::string all;
  for (std::uint64_t id = 1; id <= kMost + 2; ++id) all += call(id);
  send(all + source(7, code("exports.f = 1")));
  REQUIRE(owner.called.size() == kMost);
  CHECK(owner.given.empty());

  owner.session->want_source(7, {"m", "v1"});
  settle();
  CHECK(owner.given == Lines{given(7, code("exports.f = 1"))});
  CHECK(owner.called.size() == kMost);
  CHECK(client.news() == Lines{"wanted 7 m@v1", "answer 1025 overloaded", "answer 1026 overloaded"});

  // From here on the client is paused like any other.
  send(call(kMost + 3));
  CHECK(owner.called.size() == kMost);
  owner.finish_first();
  settle();
  CHECK(owner.called.back() == kMost + 3);
}

TEST_CASE_FIXTURE(SessionFixture, "reading from a loader that reads no answers is paused in the end") {
  owner.list.workers.resize(200);
  greet();
  owner.session->want_source(1, {"m", "v1"});
  std::string all;
  for (std::uint64_t id = 1; id <= 1000; ++id) all += testing::list_workers(id);
  send(all);
  CHECK(owner.lists < 200);
}

TEST_CASE_FIXTURE(SessionFixture, "source requests to a client that has left are dropped") {
  greet();
  const auto kept = owner.session;
  client.close();
  settle();
  kept->want_source(1, {"m", "v1"});
  kept->answer_registration(1, std::nullopt);
  settle();
  CHECK(owner.left == 1);
}

TEST_CASE_FIXTURE(SessionFixture, "a session knows the user of its client") {
  CHECK(owner.session->peer_uid() == ::geteuid());
}

}  // namespace
}  // namespace holdfast::supervisor
