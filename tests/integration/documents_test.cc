// What the documents show is what the programs print.
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/support/calls.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"

namespace holdfast::test {
namespace {

TEST_CASE("docs/security.md shows the tables of system calls as holdfastd prints them") {
  const std::string document = read_file(examples_folder().parent_path() / "security.md");
  for (const char* whose : {"jit", "supervisor"}) {
    CAPTURE(whose);
    const Finished printed = run({supervisor_program(), "--print-policy", whose});
    CHECK(printed.status == 0);
    CHECK(contains(printed.output, "| exit_group |"));
    CHECK(contains(document, printed.output));
  }
  const Finished strict = run({supervisor_program(), "--print-policy", "strict"});
  CHECK(contains(run({supervisor_program(), "--print-policy", "jit"}).output, strict.output));
}

}  // namespace
}  // namespace holdfast::test
