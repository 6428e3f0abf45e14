// The env tables of the settings file.
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "supervisor/settings/settings.h"
#include "tests/unit/supervisor/settings_support.h"

namespace holdfast::supervisor {
namespace {

TEST_CASE("a module has the variables of all its tables, and the more exact one's value of each") {
  const Settings set = settings(R"toml(
      [defaults]
      env = { A = "default", B = "default", C = "default" }
      [module.m]
      env = { B = "module", C = "module" }
      [module."m@v2"]
      env.C = "version"
      env.__proto__ = ""
  )toml");
  CHECK(set.environment_of({"other", "v1"}) == Environment{{"A", "default"}, {"B", "default"}, {"C", "default"}});
  CHECK(set.environment_of({"m", "v1"}) == Environment{{"A", "default"}, {"B", "module"}, {"C", "module"}});
  CHECK(set.environment_of({"m", "v2"}) ==
        Environment{{"A", "default"}, {"B", "module"}, {"C", "version"}, {"__proto__", ""}});
  CHECK(set.of({"m", "v2"}) == ModuleSettings{});
  CHECK(Settings().environment_of({"m", "v1"}).empty());
  CHECK_FALSE(set == Settings());
}

TEST_CASE("an invalid variable is reported with its line and key") {
  CHECK(mistake("[module.m]\nenv = 5\n") ==
        "s.toml:2: module.m.env: is an integer; expected a table such as { NAME = \"value\" }");
  CHECK(mistake("[module.m]\n\nenv = { A = 1 }\n") == "s.toml:3: module.m.env.A: is an integer; expected a string");
  CHECK(
      has(mistake("[module.m.env]\n\"A-B\" = \"x\"\n"), "s.toml:2: module.m.env.A-B: \"A-B\" is not a variable name"));
  CHECK(has(mistake("[defaults.env]\n1A = \"x\"\n"), "s.toml:2: defaults.env.1A: \"1A\" is not a variable name"));
  CHECK(has(mistake("[defaults.env]\n\"\" = \"x\"\n"), "is not a variable name"));
  CHECK(has(mistake("[defaults.env]\n" + std::string(129, 'A') + " = \"x\"\n"), "expected 1 to 128 of"));
  CHECK(has(mistake("[defaults.env]\nA = \"x\\u0000y\"\n"), "s.toml:2: defaults.env.A: has a NUL character"));
  CHECK(has(mistake("env = { A = \"x\" }\n"), "s.toml:1: env: unknown table"));
}

TEST_CASE("an environment of all tables together is at most 64 kB") {
  const std::string most(kMostEnvironmentBytes - 1, 'x');
  settings("[module.m]\nenv = { A = \"" + most + "\" }\n");
  CHECK(has(mistake("[module.m]\nenv = { A = \"" + most + "x\" }\n"), "s.toml:2: module.m.env: names and values have"));
  // A variable that is set twice counts once.
  settings("[module.m]\nenv = { A = \"" + most + "\" }\n[module.\"m@v1\"]\nenv = { A = \"" + most + "\" }\n");
  CHECK(has(mistake("[module.\"m@v1\"]\nenv = { B = \"\" }\n[module.m]\nenv = { A = \"" + most + "\" }\n"),
            "s.toml:2: module.\"m@v1\".env: names and values have"));
}

}  // namespace
}  // namespace holdfast::supervisor
