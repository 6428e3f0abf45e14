// Each row of a worker's table of system calls is needed: something breaks without it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "sandbox/seccomp_policy.h"
#include "tests/support/as_nobody.h"
#include "tests/support/calls.h"
#include "tests/support/program.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using sandbox::Profile;

// What ordinary modules do. The functions' names say what each of them exercises.
constexpr std::string_view kRowsModule = R"js('use strict';
exports.collectsGarbage = () => {
  for (let kept = [], i = 0; i < 1e6; i++) { kept.push({ i }); if (kept.length > 1e5) kept = []; }
};
exports.isOptimised = () => { let sum = 0; for (let i = 0; i < 1e6; i++) sum = (sum * 31 + i) | 0; return /(\d+)-\1/.test('12-12'); };
exports.usesLargeBuffers = () => { for (let i = 0; i < 20; i++) new Uint8Array(5 << 20).fill(1); };
exports.usesLargeTexts = () => 'ÄÖÜé'.repeat(50000).normalize('NFKD').toLocaleUpperCase('tr').length;
exports.segments = () => [...new Intl.Segmenter('th', { granularity: 'word' }).segment('สวัสดีครับ'.repeat(200))].length;
exports.readsTheTime = () => Date.now() > 1e12;
exports.formatsTheTime = () => new Intl.DateTimeFormat('en').format().length;
exports.drawsRandomBytes = () => crypto.getRandomValues(new Uint8Array(16)).length;
exports.waits = () => new Promise((resolve) => setTimeout(resolve, 5));
exports.loops = function loops() { for (;;); };
)js";
constexpr const char* kFunctions[] = {"collectsGarbage", "isOptimised",      "usesLargeBuffers",
                                      "usesLargeTexts",  "segments",         "readsTheTime",
                                      "formatsTheTime",  "drawsRandomBytes", "waits"};

// A supervisor whose workers lack one row of the table, or none.
class Lacking {
 public:
  Lacking(Profile profile, std::optional<std::size_t> row) {
    fs::create_directory(folder_.path() / "modules");
    folder_.write("modules/module-1.js", std::string(kRowsModule));
    const std::string option = row ? fmt::format("--without-row={} ", *row) : "";
    const fs::path worker = folder_.write(
        "worker", fmt::format("#!/bin/sh\nexec {} {}\"$@\"\n", startable_by_nobody(attacker_program()), option));
    fs::permissions(worker, fs::perms(0755));
    const bool for_nobody = is_for_nobody();
    for (const fs::path& path : {folder_.path(), folder_.path() / "modules"}) {
      fs::permissions(path, fs::perms(for_nobody ? 0777 : 0755));
    }
    const std::string socket = folder_.path() / "holdfast.sock";
    program_ = std::make_unique<Program>(
        std::vector<std::string>{for_nobody ? startable_by_nobody(supervisor_program()) : supervisor_program(),
                                 "--socket", socket, "--modules", folder_.path() / "modules", "--worker", worker,
                                 "--stretch", "4s", "--profile", profile == Profile::strict ? "strict" : "jit"},
        ProgramOptions{.as_nobody = for_nobody});
    const auto says = [this](const char* text) { return contains(program_->errors(), text); };
    REQUIRE(eventually([&] { return says("listens on") || says("cannot start workers"); }));
    if (says("listens on")) client_.emplace(*ipc::Client::connect(socket, {.name = "test"}));
  }

  // Describes what is broken; empty if all is well.
  std::string complaint() {
    if (!client_) return "no worker can be started";
    for (const char* function : kFunctions) {
      // If workers end again and again before they begin the call, the call ends by its timeout.
      const auto answer = call(
          *client_, {.module = "module", .function = function, .timeout = std::chrono::seconds(10), .version = "1"});
      if (code_of(answer) != "result") return fmt::format("{}: {}", function, outcome(answer));
    }
    const auto stopped = call(*client_, {.module = "module", .function = "loops", .version = "1"});
    if (code_of(stopped) != "cpu_exceeded") return fmt::format("loops: {}", outcome(stopped));
    if (!contains(error_of(stopped).stack, "loops")) return "loops: nobody can say where";
    return "";
  }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<Program> program_;
  std::optional<ipc::Client> client_;
};

TEST_CASE("something breaks without any one row of the table and nothing breaks with all of them") {
  for (const Profile profile : {Profile::strict, Profile::jit}) {
    CAPTURE(profile == Profile::strict);
    CHECK(Lacking(profile, std::nullopt).complaint() == "");
    const auto rows = sandbox::policy(profile);
    // The rows of the strict profile were tested in the first round.
    const std::size_t first = profile == Profile::strict ? 0 : sandbox::policy(Profile::strict).size();
    for (std::size_t row = first; row < rows.size(); ++row) {
      const std::string system_call = rows[row].system_call;
      CAPTURE(system_call);
      const std::string complaint = Lacking(profile, row).complaint();
      CAPTURE(complaint);
      const bool names_the_call = contains(complaint, fmt::format("the system call {},", system_call));
      CHECK((names_the_call || complaint == "no worker can be started" || complaint == "loops: nobody can say where"));
    }
  }
}

}  // namespace
}  // namespace holdfast::test
