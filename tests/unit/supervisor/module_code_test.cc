// Where modules' code comes from, with a real scheduler, real files and a real session of a loader.
#include "supervisor/module_code.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/unit/supervisor/session_support.h"

namespace holdfast::supervisor::testing {
namespace {

using namespace std::chrono_literals;
using News = std::vector<std::string>;
using std::chrono::steady_clock;

// The answers that calls got: "1 not_found".
struct RecordedAnswers final : CallAnswers {
  void finish(CallId call, const ipc::Error& error) override {
    given.push_back(std::to_string(static_cast<std::uint64_t>(call)) + " " + std::string(to_string(error.code)));
    last = error;
  }
  News given;
  ipc::Error last;
};

// Does with decisions what the supervisor does, without workers.
struct Code : SessionFixture {
  explicit Code(uid_t loader = ::geteuid())
      : code({.sources = sources,
              .settings = settings,
              .accounts = *accounts,
              .turn = turn,
              .modules = modules,
              .scheduler = scheduler,
              .decisions = decisions,
              .answers = answers},
             only_user(loader), 5s) {
    greet();
    scheduler.start(steady_clock::now(), decisions);
    carry_out();
  }

  void carry_out() {
    for (std::size_t i = 0; i < decisions.size(); ++i) {
      const Decision decision = decisions[i];
      if (const auto* fork = std::get_if<ForkWorker>(&decision)) worker = fork->worker;
      if (const auto* fetch = std::get_if<FetchSource>(&decision)) code.fetch(modules.of(fetch->module));
      if (const auto* load = std::get_if<LoadModule>(&decision)) loading = load->module;
      if (std::holds_alternative<KillWorker>(decision)) ++killed;
    }
    decisions.clear();
  }
  KnownModule& added() {
    const auto module = code.add(kName);
    REQUIRE(module.has_value());
    carry_out();
    return **module;
  }
  void call(std::uint64_t id, const KnownModule& module) {
    const ArrivedCall arrived{.id = CallId{id},
                              .module = module.id,
                              .caller = {UserId{1}, ClientId{1}, FunctionId{1}},
                              .deadline = steady_clock::now() + 1h};
    CHECK_FALSE(scheduler.call_arrived(arrived, steady_clock::now(), decisions).has_value());
    carry_out();
  }
  void forked() {
    scheduler.worker_forked(worker, steady_clock::now(), decisions);
    carry_out();
  }
  void register_loader() {
    code.register_loader(*owner.session, 5, 0s);
    carry_out();
    CHECK(news() == News{"loader 5 registered"});
  }
  // The loader's answer to its first request.
  std::optional<ModuleId> give(const ipc::SourceOutcome& outcome) {
    const auto ready = code.take_in(*owner.session, 1, outcome);
    carry_out();
    return ready;
  }
  News news() {
    settle();
    return client.news();
  }

  static inline const ModuleName kName{"m", "v1"};

  TemporaryFolder folder;
  ModuleSources sources{folder.path()};
  Settings settings;
  Modules modules;
  Scheduler scheduler{{.max_workers = 1, .standby = 0}};
  Decisions decisions;
  RecordedAnswers answers;
  ModuleCode code;
  WorkerId worker{};                // that was asked for last
  std::optional<ModuleId> loading;  // the module that a worker was given last
  int killed = 0;
};

struct CodeWithoutLoaders : Code {
  CodeWithoutLoaders() : Code(::geteuid() + 1) {}
};

ipc::SourceOutcome code_from_loader(std::string_view text) { return ipc::SourceCode{ipc::as_bytes(text), "m.js"}; }

// --- files ---------------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Code, "a module that has a file is loaded from it once there is a worker") {
  folder.write("m-v1.js", "one");
  KnownModule& module = added();
  CHECK(modules.find(kName) == &module);
  call(1, module);
  CHECK_FALSE(loading.has_value());
  forked();
  REQUIRE(loading == module.id);
  const auto source = code.take(module);
  REQUIRE(source.has_value());
  CHECK(source->text == "one");
  CHECK(answers.given.empty());
}

TEST_CASE_FIXTURE(Code, "a name that no file and no loader has is not remembered") {
  const auto module = code.add(kName);
  REQUIRE_FALSE(module.has_value());
  CHECK(module.error().code == ipc::ErrorCode::not_found);
  CHECK(modules.size() == 0);
}

TEST_CASE_FIXTURE(Code, "a module that was never called is forgotten, one that was called is not") {
  folder.write("m-v1.js", "one");
  KnownModule& module = added();
  SUBCASE("never called") {
    code.forget_if_unused(module);
    CHECK(modules.size() == 0);
  }
  SUBCASE("called") {
    module.counts.calls = 1;
    code.forget_if_unused(module);
    CHECK(modules.size() == 1);
  }
}

TEST_CASE_FIXTURE(Code, "workers are replaced if the file's content has changed, and only then") {
  folder.write("m-v1.js", "one");
  KnownModule& module = added();
  call(1, module);
  forked();
  CHECK_FALSE(code.note_content(module, *code.take(module)));
  scheduler.worker_loaded(worker, steady_clock::now(), decisions);
  scheduler.call_answered(CallId{1}, 1ms, steady_clock::now(), decisions);
  carry_out();
  SUBCASE("touched") {
    folder.write("m-v1.js", "one");
    code.files_changed({(folder / "m-v1.js").string()});
    carry_out();
    CHECK(killed == 0);
  }
  SUBCASE("another file") {
    folder.write("m-v1.js", "two");
    code.files_changed({(folder / "other-v1.js").string()});
    carry_out();
    CHECK(killed == 0);
  }
  SUBCASE("changed") {
    folder.write("m-v1.js", "two");
    code.files_changed({(folder / "m-v1.js").string()});
    carry_out();
    CHECK(killed == 1);
    CHECK(code.take(module)->text == "two");
  }
  SUBCASE("removed, as may be seen from no event") {
    std::filesystem::remove(folder / "m-v1.js");
    code.all_files_may_have_changed();
    carry_out();
    CHECK(killed == 1);
  }
}

// --- loaders -------------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(CodeWithoutLoaders, "a client whose user is not listed loads no modules") {
  code.register_loader(*owner.session, 5, 0s);
  CHECK(news() == News{"loader 5 refused"});
  CHECK_FALSE(code.add(kName).has_value());
}

TEST_CASE_FIXTURE(Code, "a loader is asked for a module without a file, and its code is given to a worker once") {
  register_loader();
  KnownModule& module = added();
  call(1, module);
  CHECK(news() == News{"wanted 1 m@v1"});
  CHECK(give(code_from_loader("code")) == module.id);
  forked();
  REQUIRE(loading == module.id);
  const auto source = code.take(module);
  REQUIRE(source.has_value());
  CHECK(source->text == "code");
  CHECK(accounts->asks.used() == 0);
  CHECK(accounts->sources.used() == 0);
  const auto again = code.take(module);
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().code == ipc::ErrorCode::overloaded);
}

TEST_CASE_FIXTURE(Code, "a loader's code is kept as long as a call waits for it, and no longer") {
  register_loader();
  KnownModule& module = added();
  call(1, module);
  CHECK(accounts->asks.used() == 1);
  CHECK(give(code_from_loader("code")) == module.id);
  code.release_unless_needed(module);
  CHECK(accounts->sources.used() == 4);
  scheduler.abandon(CallId{1}, steady_clock::now(), decisions);
  code.release_unless_needed(module);
  CHECK(accounts->sources.used() == 0);
}

TEST_CASE_FIXTURE(Code, "a file that appears goes before the loader") {
  register_loader();
  KnownModule& module = added();
  folder.write("m-v1.js", "file");
  call(1, module);
  CHECK(news().empty());
  CHECK(code.take(module)->text == "file");
}

TEST_CASE_FIXTURE(Code, "calls of a module that no loader knows are answered, and its name is not remembered") {
  register_loader();
  KnownModule& module = added();
  call(1, module);
  call(2, module);
  CHECK_FALSE(give(ipc::SourceNotFound{}).has_value());
  CHECK(answers.given == News{"1 not_found", "2 not_found"});
  CHECK(modules.size() == 0);
}

TEST_CASE_FIXTURE(Code, "a loader that fails, leaves or is silent fails the calls that wait for it, each once") {
  register_loader();
  KnownModule& module = added();
  call(1, module);
  SUBCASE("fails") {
    give(ipc::SourceFailed{"why"});
    CHECK(answers.last.message == "cannot load m@v1: its loader says: why");
  }
  SUBCASE("leaves") {
    code.client_left(*owner.session);
    CHECK(answers.last.message == "cannot load m@v1: no file has it, and no client is registered to load it");
    CHECK(answers.last.retryable);
  }
  SUBCASE("is silent") {
    REQUIRE(code.next_wakeup().has_value());
    code.tick(*code.next_wakeup() - 1ns);
    CHECK(answers.given.empty());
    code.tick(*code.next_wakeup());
    CHECK(answers.last.message == "cannot load m@v1: its loader did not answer in time (--loader-timeout)");
    CHECK(answers.last.retryable);
    CHECK_FALSE(code.next_wakeup().has_value());
    CHECK_FALSE(give(code_from_loader("late")).has_value());
  }
  CHECK(answers.given == News{"1 load_failed"});
  CHECK(accounts->asks.used() == 0);
}

TEST_CASE_FIXTURE(Code, "an answer that nobody asked for is ignored") {
  register_loader();
  CHECK_FALSE(give(code_from_loader("code")).has_value());
  CHECK_FALSE(give(ipc::SourceNotFound{}).has_value());
  CHECK(answers.given.empty());
}

}  // namespace
}  // namespace holdfast::supervisor::testing
