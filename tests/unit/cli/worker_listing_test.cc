#include "tools/cli/worker_listing.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tools/cli/table.h"

using namespace holdfast;
using namespace holdfast::cli;
using namespace std::chrono_literals;

namespace {

const std::vector<ipc::WorkerInfo> kWorkers = {
    {.pid = 0, .module = "", .version = "", .state = ipc::WorkerState::starting},
    {.pid = 4321,
     .module = "calculator",
     .version = "v1",
     .state = ipc::WorkerState::busy,
     .calls_in_flight = 2,
     .calls_done = 1000,
     .memory_bytes = 5 << 20,
     .age = 1500ms,
     .cpu = 250ms,
     .line = true},
};

}  // namespace

TEST_CASE("columns are as wide as their widest cell, and lines end where their text does") {
  CHECK(format_table({{"NAME"}, {"N", Align::right}, {"LAST"}},
                     {{"a", "100", "x"}, {"\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", "1", ""}}) ==
        "NAME     N  LAST\n"
        "a      100  x\n"
        "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9    1\n");
}

TEST_CASE("a table without rows is its titles") { CHECK(format_table({{"A"}, {"B"}}, {}) == "A  B\n"); }

TEST_CASE("workers are listed one a line") {
  CHECK(listing_as_table(kWorkers) ==
        " PID  MODULE      VERSION  STATE     CALLS  CALLS_IN_FLIGHT  LINE    CPU  MEMORY  AGE\n"
        "   -  -           -        starting      0                0  -       0ms      0B  0ms\n"
        "4321  calculator  v1       busy       1000                2  yes   250ms     5MB   1s\n");
}

TEST_CASE("the listing's JSON has plain numbers under the columns' names") {
  const auto list = nlohmann::json::parse(listing_as_json(kWorkers));
  REQUIRE(list.size() == 2);
  CHECK(list[1] == nlohmann::json::parse(R"({"pid": 4321, "module": "calculator", "version": "v1", "state": "busy",
    "calls": 1000, "calls_in_flight": 2, "line": true, "cpu": 0.25, "memory": 5242880, "age": 1.5})"));
  CHECK(list[0]["module"] == "");
  CHECK(listing_as_json({}) == "[]\n");
}

TEST_CASE("a name that a supervisor made up cannot reach the terminal") {
  auto workers = kWorkers;
  workers[1].module = "a\x1b[2J\n";
  for (const std::string& text : {listing_as_table(workers), listing_as_json(workers)}) {
    CHECK(text.find('\x1b') == std::string::npos);
  }
}

TEST_CASE("an age is told in the two units that matter") {
  CHECK(format_age(250ms) == "250ms");
  CHECK(format_age(42s) == "42s");
  CHECK(format_age(192s) == "3m12s");
  CHECK(format_age(5h + 7min + 59s) == "5h07m");
  CHECK(format_age(51h) == "2d03h");
}
