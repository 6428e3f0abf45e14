#include "tools/cli/file_module.h"

#include <doctest/doctest.h>

#include "ipc/base/module_name.h"

using namespace holdfast;
using namespace holdfast::cli;

TEST_CASE("MODULE@VERSION names a module and its version") {
  const auto target = ipc::parse_module_name("calculator@v1.0.0+build-7");
  REQUIRE(target);
  CHECK(target->module == "calculator");
  CHECK(target->version == "v1.0.0+build-7");
}

TEST_CASE("names of the longest length are accepted and longer ones are not") {
  const std::string longest(64, 'a');
  CHECK(ipc::parse_module_name(longest + "@" + longest));
  CHECK_FALSE(ipc::parse_module_name(longest + "a@1"));
  CHECK_FALSE(ipc::parse_module_name("a@" + longest + "a"));
}

TEST_CASE("the error about an invalid module name says what is wrong") {
  const auto problem = [](const char* text) { return ipc::parse_module_name(text).error(); };
  CHECK(problem("calculator").find("it has no version") != std::string::npos);
  CHECK(problem("calculator@").find("the version is empty") != std::string::npos);
  CHECK(problem("@v1").find("the module's name is empty") != std::string::npos);
  CHECK(problem(".hidden@v1").find("the module's name begins with a dot") != std::string::npos);
  CHECK(problem("a@.1").find("the version begins with a dot") != std::string::npos);
  CHECK(problem("a/b@v1").find("characters other than") != std::string::npos);
  CHECK(problem("a@v1@v2").find("the version has characters other than") != std::string::npos);
  CHECK(problem("a\x1b[2J@v1").find('\x1b') == std::string::npos);
}

TEST_CASE("a file's module is named for its stem") {
  CHECK(module_name_for_file("sum.js") == "sum");
  CHECK(module_name_for_file("/some/folder/sum.min.mjs") == "sum.min");
  CHECK(module_name_for_file("no-extension") == "no-extension");
}

TEST_CASE("every file gives a valid module name") {
  CHECK(module_name_for_file("my module (2).js") == "my_module__2_");
  CHECK(module_name_for_file(".hidden.js") == "_hidden");
  CHECK(module_name_for_file("\xC3\xA9.js") == "__");
  CHECK(module_name_for_file("/") == "module");
  for (const std::string& path :
       {std::string(200, 'x') + ".js", std::string("a@b.js"), std::string("..."), std::string("..")}) {
    CAPTURE(path);
    CHECK(ipc::parse_module_name(module_name_for_file(path) + "@local"));
  }
}
