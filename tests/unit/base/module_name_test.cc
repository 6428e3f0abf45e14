#include "ipc/base/module_name.h"

#include <doctest/doctest.h>

#include <ostream>
#include <string>
#include <string_view>

#include "ipc/base/text.h"

namespace holdfast::ipc {
namespace {

TEST_CASE("a module is named by its name, an at sign and its version") {
  const auto name = parse_module_name("calculator@v1.0.0");
  REQUIRE(name.has_value());
  CHECK(name->module == "calculator");
  CHECK(name->version == "v1.0.0");
  CHECK(to_string(*name) == "calculator@v1.0.0");
}

TEST_CASE("every character that a name may have is accepted, up to the longest name") {
  for (const std::string& part : {std::string("a"), std::string("ABCXYZabcxyz019._-+"), std::string("-"),
                                  std::string("a."), std::string(64, 'x')}) {
    CAPTURE(part);
    CHECK_FALSE(name_problem(part, "name").has_value());
    CHECK(parse_module_name(part + "@" + part).has_value());
  }
}

TEST_CASE("what is not a module's name is refused with what was wrong") {
  CHECK(parse_module_name("calculator").error() ==
        "\"calculator\" does not name a module: it has no version; expected MODULE@VERSION, such as calculator@v1.0.0");
  CHECK(name_problem("", "version") == "the version is empty");
  CHECK(name_problem(std::string(65, 'x'), "version") == "the version has 65 characters; at most 64 are allowed");
  CHECK(name_problem(".hidden", "version") == "the version begins with a dot");
  CHECK(name_problem("a/b", "version") == "the version has characters other than A-Z a-z 0-9 . _ - +");
  for (const char* text :
       {"", "@", "m@", "@v", "m@v@w", "../m@v", "m@..", "m@.", "m/x@v", "m x@v", "m\n@v", "m@v\\", "mü@v"}) {
    CAPTURE(std::string_view(text));
    CHECK_FALSE(parse_module_name(text).has_value());
  }
  CHECK_FALSE(parse_module_name(std::string_view("m\0@v", 4)).has_value());
}

TEST_CASE("an invalid name is shown in an error in short and printable form") {
  const auto name = parse_module_name("\x1B[2J" + std::string(100'000, '\xFF') + "@v");
  REQUIRE_FALSE(name.has_value());
  CHECK(name.error().size() < 1000);
  CHECK(printable(name.error(), Newlines::escape) == name.error());
}

}  // namespace
}  // namespace holdfast::ipc
