// The settings file: what it sets, and the messages about mistakes in it.
#include "supervisor/settings/settings.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/settings/setting_keys.h"
#include "tests/unit/supervisor/settings_support.h"

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

const ModuleName kCalculator = {"calculator", "v1"};

// --- what is set ---------------------------------------------------------------------------------------------------

TEST_CASE("an empty settings file leaves what the flags say") {
  const ModuleSettings flags{.queue_limit = 7, .timeout = 3s};
  for (const char* text : {"", "\n", "# nothing\n", "[defaults]\n", "[module]\n", "[module.calculator]\n"}) {
    CAPTURE(std::string_view(text));
    CHECK(settings(text, flags).of(kCalculator) == flags);
  }
  CHECK(Settings(flags).of(kCalculator) == flags);
  CHECK(Settings(flags).warm().empty());
}

TEST_CASE("every key sets what it says") {
  const Settings set = settings(R"toml(
      [module."calculator@v1"]
      max_instances = 4
      concurrency = 8
      queue_limit = 100
      timeout = "1500ms"
      stretch = "20ms"
      memory = "64MB"
      idle_timeout = "0"
      max_retries = 0
      min_warm = 3
      weight = 10
  )toml");
  CHECK(set.of(kCalculator) == ModuleSettings{.max_instances = 4,
                                              .concurrency = 8,
                                              .queue_limit = 100,
                                              .max_retries = 0,
                                              .min_warm = 3,
                                              .weight = 10,
                                              .idle_timeout = 0s,
                                              .timeout = 1500ms,
                                              .stretch = 20ms,
                                              .memory_bytes = std::uint64_t{64} << 20});
  CHECK(set.of({"calculator", "v2"}) == ModuleSettings{});
  CHECK(set.of({"other", "v1"}) == ModuleSettings{});
}

TEST_CASE("the more specific table wins key by key in any order") {
  const ModuleSettings flags{.max_instances = 2, .concurrency = 2, .queue_limit = 2, .weight = 2};
  const Settings set = settings(R"toml(
      [module."calculator@v1"]
      weight = 5
      [module.calculator]
      queue_limit = 4
      weight = 4
      [defaults]
      concurrency = 3
      queue_limit = 3
      weight = 3
  )toml",
                                flags);
  const ModuleSettings version = set.of(kCalculator), module = set.of({"calculator", "v2"}), any = set.of({"x", "v1"});
  CHECK(std::vector{version.max_instances, version.concurrency, version.queue_limit, version.weight} ==
        std::vector<std::size_t>{2, 3, 4, 5});
  CHECK(std::vector{module.max_instances, module.concurrency, module.queue_limit, module.weight} ==
        std::vector<std::size_t>{2, 3, 4, 4});
  CHECK(std::vector{any.max_instances, any.concurrency, any.queue_limit, any.weight} ==
        std::vector<std::size_t>{2, 3, 3, 3});
}

TEST_CASE("a value that a table sets to what it is anyway still wins over less exact tables") {
  const Settings set = settings("[defaults]\nmax_retries = 5\n[module.calculator]\nmax_retries = 2\n");
  CHECK(set.of(kCalculator).max_retries == ModuleSettings{}.max_retries);
}

TEST_CASE("names with dots, dashes and pluses are quoted, and every way of TOML to write a table is understood") {
  CHECK(settings("[module.\"my.module\"]\nweight = 2\n").of({"my.module", "v1"}).weight == 2);
  CHECK(settings("[module.\"a-b+c@v1.0.0-rc.1\"]\nweight = 2\n").of({"a-b+c", "v1.0.0-rc.1"}).weight == 2);
  CHECK(settings("module.calculator.weight = 2\n").of(kCalculator).weight == 2);
  CHECK(settings("module = { calculator = { weight = 0x2 } }\n").of(kCalculator).weight == 2);
  CHECK(settings("\xef\xbb\xbf[defaults]\r\nweight = 2\r\n").of(kCalculator).weight == 2);
}

TEST_CASE("the modules with warm workers are listed with all their settings") {
  const Settings set = settings(R"toml(
      [module.calculator]
      max_instances = 3
      [module."calculator@v1"]
      min_warm = 2
      [module."calculator@v2"]
      min_warm = 0
      [module."echo@v1"]
      min_warm = 1
  )toml");
  const auto warm = set.warm();
  REQUIRE(warm.size() == 2);
  CHECK(warm[0].first == kCalculator);
  CHECK(warm[0].second == set.of(kCalculator));
  CHECK(warm[0].second.min_warm == 2);
  CHECK(warm[1].first == ModuleName{"echo", "v1"});
  CHECK(set.table_count() == 4);
}

TEST_CASE("workers that are kept must leave one to other modules") {
  const Settings none = settings("[defaults]\nweight = 1\n");
  CHECK_FALSE(none.problem_with_pool(1).has_value());
  const Settings five =
      settings("[module.a]\nmax_instances = 3\n[module.\"a@1\"]\nmin_warm = 3\n[module.\"a@2\"]\nmin_warm = 2\n");
  CHECK_FALSE(five.problem_with_pool(6).has_value());
  for (const std::size_t workers : {1, 4, 5}) {
    const auto problem = five.problem_with_pool(workers);
    REQUIRE(problem.has_value());
    CHECK(problem->starts_with("s.toml: min_warm: "));
    CHECK(has(*problem, "the total of all modules is 5"));
    CHECK(has(*problem, "--max-workers, " + std::to_string(workers)));
  }
}

// --- mistakes ------------------------------------------------------------------------------------------------------

TEST_CASE("a mistake is reported with file and line and key and the found and expected value") {
  CHECK(mistake("# one\n# two\n[module.calculator]\nmemory = \"12 parsecs\"\n") ==
        "s.toml:4: module.calculator.memory: \"12 parsecs\" has the unknown unit \" parsecs\"; expected a number and a "
        "unit (B, kB, MB, GB, TB), such as 128MB");
  CHECK(mistake("[module.\"calculator@v1\"]\n\n\nweight = 0\n") ==
        "s.toml:4: module.\"calculator@v1\".weight: 0 is not possible; expected a whole number from 1 to 1000");
  CHECK(mistake("[defaults]\ntimeout = 5\n") ==
        "s.toml:2: defaults.timeout: is an integer, 5; expected a string with a unit, such as \"200ms\" or \"5s\"");
  CHECK(mistake("[defaults]\nweight = \"5\"\n") ==
        "s.toml:2: defaults.weight: is a string, \"5\"; expected a whole number without quotes");
}

TEST_CASE("the error about an unknown key lists the known keys") {
  const std::string text = mistake("[module.calculator]\nmemory_limit = \"1GB\"\n");
  CHECK(text.starts_with("s.toml:2: module.calculator.memory_limit: unknown key; expected one of "));
  for (const SettingKey& key : setting_keys()) CHECK(has(text, std::string(key.name)));
}

TEST_CASE("the error about an unknown table lists the known tables") {
  CHECK(mistake("\n[modules.calculator]\n").starts_with("s.toml:2: modules: unknown table; expected [defaults], "));
  CHECK(mistake("verbose = true\n").starts_with("s.toml:1: verbose: unknown key; expected [defaults], "));
  CHECK(mistake("memory = \"1GB\"\n").starts_with("s.toml:1: memory: is outside of a table; expected [defaults]"));
  CHECK(mistake("[module]\nmemory = \"1GB\"\n")
            .starts_with("s.toml:2: module.memory: is a string; expected the name of a module: [defaults]"));
  CHECK(mistake("defaults = 7\n").starts_with("s.toml:1: defaults: is an integer; expected [defaults]"));
  CHECK(mistake("module = []\n").starts_with("s.toml:1: module: is an array; expected [defaults]"));
  CHECK(mistake("[[module.calculator]]\nweight = 1\n").starts_with("s.toml:1: module.calculator: is an array"));
}

TEST_CASE("a name that lacks its quotes is a mistake that says so") {
  CHECK(has(mistake("[module.calculator@v1]\n"), "s.toml:1: "));
  CHECK(has(mistake("[module.calculator@v1]\n"), "quoted: [module.\"NAME@VERSION\"]"));
  const std::string text = mistake("[module.my.module]\nweight = 1\n");
  CHECK(text.starts_with("s.toml:1: module.my.module: unknown table; "));
  CHECK(has(text, "quoted"));
}

TEST_CASE("a name that no module can have is a mistake that quotes it") {
  for (const std::string name : {"", ".hidden", "a b", "../a", "a@", "@1", "a@1@2", "a@../b", "\xc3\xa4"}) {
    CAPTURE(name);
    const std::string text = mistake("[module.\"" + name + "\"]\nweight = 1\n");
    CHECK(text.starts_with("s.toml:1: module.\"" + name + "\": "));
  }
  CHECK(has(mistake("[module." + std::string(65, 'x') + "]\n"), "at most 64"));
}

TEST_CASE("a value of another type is a mistake, whatever the key") {
  for (const SettingKey& key : setting_keys()) {
    for (const char* value : {"true", "1.5", "[1]", "{ a = 1 }", "2026-01-01", "12:00:00", "inf", "nan"}) {
      CAPTURE(key.name);
      CAPTURE(std::string_view(value));
      const std::string text = mistake("[module.\"a@1\"]\n" + std::string(key.name) + " = " + value + "\n");
      CHECK(text.starts_with("s.toml:2: module.\"a@1\"." + std::string(key.name) + ": is a"));
      CHECK(has(text, "; expected "));
    }
  }
}

TEST_CASE("the bounds are those of the flags") {
  const auto value = [](const char* key, const char* text) {
    return "[module.\"a@1\"]\nmax_instances = 100000\n" +
           (std::string(key) == "max_instances" ? "" : key + std::string(" = ") + text + "\n");
  };
  for (const auto& [key, good, bad] : {std::tuple{"concurrency", "1", "0"},
                                       {"concurrency", "10000", "10001"},
                                       {"queue_limit", "1", "0"},
                                       {"queue_limit", "10000000", "10000001"},
                                       {"max_retries", "0", "-1"},
                                       {"max_retries", "10", "11"},
                                       {"min_warm", "0", "-1"},
                                       {"min_warm", "100000", "100001"},
                                       {"weight", "1", "0"},
                                       {"weight", "1000", "1001"},
                                       {"weight", "1", "-9223372036854775808"},
                                       {"weight", "1", "9223372036854775807"},
                                       {"memory", "\"16MB\"", "\"15MB\""},
                                       {"memory", "\"1024TB\"", "\"1025TB\""},
                                       {"memory", "\"16MB\"", "\"\""},
                                       {"stretch", "\"1ms\"", "\"999us\""},
                                       {"timeout", "\"1ns\"", "\"0\""},
                                       {"timeout", "\"1d\"", "\"99999999d\""},
                                       {"timeout", "\"1s\"", "\"-1s\""},
                                       {"idle_timeout", "\"0\"", "\"-1s\""},
                                       {"idle_timeout", "\"1s\"", "\"1\""}}) {
    CAPTURE(std::string_view(key));
    CAPTURE(bad);
    CHECK(Settings::parse(value(key, good), "s.toml", {}).has_value());
    CHECK(mistake(value(key, bad)).starts_with("s.toml:3: module.\"a@1\"." + std::string(key) + ": "));
  }
  CHECK(settings("[defaults]\nmax_instances = 100000\n").of(kCalculator).max_instances == 100'000);
  CHECK(has(mistake("[defaults]\nmax_instances = 100001\n"), "from 1 to 100000"));
  CHECK(has(mistake("[defaults]\nmax_instances = 0\n"), "from 1 to 100000"));
}

TEST_CASE("only a version can be kept loaded") {
  for (const std::string table : {"defaults", "module.calculator"}) {
    const std::string text = mistake("[" + table + "]\nmin_warm = 1\n");
    CHECK(text == "s.toml:2: " + table +
                      ".min_warm: only a version can be kept loaded; expected it in [module.\"NAME@VERSION\"]");
  }
}

TEST_CASE("a module cannot keep more workers warm than it may have wherever that is set") {
  CHECK(mistake("[module.\"a@1\"]\nmin_warm = 2\n") ==
        "s.toml:2: module.\"a@1\".min_warm: 2 is more than its max_instances, 1");
  CHECK(mistake("[module.\"a@1\"]\nmin_warm = 5\n[module.a]\nmax_instances = 4\n") ==
        "s.toml:2: module.\"a@1\".min_warm: 5 is more than its max_instances, 4");
  CHECK(Settings::parse("[module.\"a@1\"]\nmin_warm = 4\n[module.a]\nmax_instances = 4\n", "s.toml", {}).has_value());
  CHECK(Settings::parse("[module.\"a@1\"]\nmin_warm = 4\n", "s.toml", {.max_instances = 4}).has_value());
  // Without a valid max_instances the two cannot be compared.
  CHECK(has(mistake("[module.\"a@1\"]\nmin_warm = 4\nmax_instances = \"4\"\n"), "max_instances: is a string"));
}

TEST_CASE("all mistakes of a file are reported in the order of its lines") {
  const Settings::Errors all = mistakes(R"toml([zoo]
[module.zebra]
memory = 5
[module.aardvark]
weight = 0
colour = "grey"
[defaults]
timeout = "soon"
)toml");
  REQUIRE(all.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    constexpr int kLines[] = {1, 3, 5, 6, 8};
    CHECK(all[i].starts_with("s.toml:" + std::to_string(kLines[i]) + ": "));
  }
}

TEST_CASE("the first of very many mistakes are reported with the number of further ones") {
  std::string text = "[defaults]\n";
  for (int i = 100; i < 200; ++i) text += "unknown" + std::to_string(i) + " = 1\n";
  const Settings::Errors all = mistakes(text);
  REQUIRE(all.size() == Settings::kMaxErrors + 1);
  CHECK(all.front().starts_with("s.toml:2: defaults.unknown100: "));
  CHECK(all.back() == "s.toml: and 80 more errors");
}

}  // namespace
}  // namespace holdfast::supervisor
