// What the documents show is what the programs print.
#include <filesystem>
#include <string_view>
#include <signal.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"

namespace holdfast::test {
namespace {

TEST_CASE("docs/security.md shows the tables of system calls as holdfastd prints them") {
  const std::string document = read_file(examples_folder().parent_path() / "security.md");
  for (const char* whose : {"jit", "supervisor"}) {
    CAPTURE(std::string_view(whose));
    const Finished printed = run({supervisor_program(), "--print-policy", whose});
    CHECK(printed.status == 0);
    CHECK(contains(printed.output, "| exit_group |"));
    CHECK(contains(document, printed.output));
  }
  const Finished strict = run({supervisor_program(), "--print-policy", "strict"});
  CHECK(contains(run({supervisor_program(), "--print-policy", "jit"}).output, strict.output));
}

TEST_CASE("docs/operating.md shows the example of a settings file, with which holdfastd starts") {
  const std::filesystem::path file = examples_folder() / "settings.toml";
  const std::string example = read_file(file);
  CHECK(contains(read_file(examples_folder().parent_path() / "operating.md"), "```toml\n" + example + "```\n"));
  for (const char* key : {"max_instances", "concurrency", "queue_limit", "timeout", "stretch", "memory", "idle_timeout",
                          "max_retries", "min_warm", "weight"}) {
    CHECK_MESSAGE(contains(example, std::string("\n") + key + " = "), key);
  }
  Daemon daemon({.flags = {"--config", file, "--max-workers", "10"}});
  daemon.signal(SIGHUP);
  CHECK(daemon.logged("settings reloaded from " + file.string() + ": 3 modules or versions have their own"));
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
