#include "tools/cli/stats_listing.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace holdfast;
using namespace holdfast::cli;
using namespace std::chrono_literals;

namespace {

ipc::Stats example() {
  return {.modules = {{.module = "idle", .version = "v1", .errors = {}, .held_off_reason = ""},
                      {.module = "calculator",
                       .version = "v2",
                       .calls = 1000,
                       .results = 8,
                       .errors = {{ipc::ErrorCode::exception, 1}, {ipc::ErrorCode::worker_crashed, 1}},
                       .refused = 3,
                       .retries = 4,
                       .cold_starts = 5,
                       .queued = 6,
                       .calls_in_flight = 7,
                       .instances = 2,
                       .queue = 15ms,
                       .run = 20s,
                       .cpu = 192s,
                       .bytes_in = 2048,
                       .bytes_out = 13,
                       .peak_memory_bytes = 5 << 20,
                       .held_off = 1500ms,
                       .held_off_reason = "SIGSEGV"}},
          .totals = {.version = "0.1.0",
                     .uptime = 42s,
                     .clients = 1,
                     .workers = 2,
                     .max_workers = 10,
                     .standbys = 1,
                     .standby_target = 1,
                     .queued = 6,
                     .calls_in_flight = 7,
                     .waiting_modules = 0,
                     .modules = 2,
                     .forks = 5,
                     .memory_bytes = 15 << 20}};
}

}  // namespace

TEST_CASE("statistics are a line for each module, those with most CPU time first, and one of the supervisor") {
  ipc::Stats stats = example();
  select_and_sort(stats, {});
  CHECK(stats_as_table(stats) ==
        "MODULE      VERSION  INSTANCES  CALLS  ERRORS  REFUSED  RETRIES  COLD  QUEUED  IN_FLIGHT    CPU  QUEUE  RUN"
        "  MEMORY   IN / OUT  HELD_OFF\n"
        "calculator  v2               2   1000       2        3        4     5       6          7  3m12s  1.5ms   2s"
        "     5MB  2kB / 13B  1.5s SIGSEGV\n"
        "idle        v1               0      0       0        0        0     0       0          0    0ms      -    -"
        "      0B    0B / 0B  -\n"
        "\n"
        "holdfastd 0.1.0, up 42s: 1 client; 2 of 10 workers, 1 of 1 standbys; 6 calls queued, 7 in flight; 0 of 2 "
        "modules waiting; 5 forks; 15MB of memory\n");
}

TEST_CASE("statistics can be asked for of a module, or of one of its versions") {
  const auto selected = [](const ModuleFilter& filter) {
    ipc::Stats stats = example();
    stats.modules.push_back({.module = "idle", .version = "v2", .errors = {}, .held_off_reason = ""});
    select_and_sort(stats, filter);
    std::string names;
    for (const auto& module : stats.modules) names += module.module + "@" + module.version + " ";
    return names;
  };
  CHECK(selected({}) == "calculator@v2 idle@v1 idle@v2 ");
  CHECK(selected({"idle", ""}) == "idle@v1 idle@v2 ");
  CHECK(selected({"idle", "v2"}) == "idle@v2 ");
  CHECK(selected({"idle", "v3"}).empty());
}

TEST_CASE("the statistics' JSON has every count, in plain numbers") {
  ipc::Stats stats = example();
  select_and_sort(stats, {"calculator", "v2"});
  CHECK(nlohmann::json::parse(stats_as_json(stats)) == nlohmann::json::parse(R"({
    "totals": {"version": "0.1.0", "uptime": 42.0, "clients": 1, "workers": 2, "max_workers": 10, "standbys": 1,
      "standby_target": 1, "queued": 6, "calls_in_flight": 7, "waiting_modules": 0, "modules": 2, "forks": 5,
      "memory": 15728640},
    "modules": [{"module": "calculator", "version": "v2", "instances": 2, "calls": 1000, "results": 8,
      "errors": {"exception": 1, "worker_crashed": 1}, "refused": 3, "retries": 4, "cold_starts": 5, "evictions": 0,
      "drains": 0, "queued": 6, "calls_in_flight": 7, "queue": 0.015, "load": 0.0, "run": 20.0, "cpu": 192.0,
      "bytes_in": 2048, "bytes_out": 13, "peak_memory": 5242880, "held_off": 1.5, "held_off_reason": "SIGSEGV"}]})"));
}

TEST_CASE("no text of statistics reaches the terminal as it is") {
  ipc::Stats stats = example();
  stats.modules[1].held_off_reason = "dead\x1b[2J\nMODULE";
  stats.totals.version = "\x9b";
  for (const std::string& text : {stats_as_table(stats), stats_as_json(stats)}) {
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find("\nMODULE") == std::string::npos);
  }
}
