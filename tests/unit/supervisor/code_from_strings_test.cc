#include "supervisor/settings/code_from_strings.h"

#include <doctest/doctest.h>

#include <string_view>

namespace holdfast::supervisor {
namespace {

TEST_CASE("a permission that was not given covers nothing") {
  CHECK_FALSE(CodeFromStringsPermission().covers({"m", "v1"}));
}

TEST_CASE("a permission with a version covers that version of that module alone") {
  CodeFromStringsPermission permission;
  REQUIRE(permission.add("m@v1"));
  CHECK(permission.covers({"m", "v1"}));
  CHECK_FALSE(permission.covers({"m", "v2"}));
  CHECK_FALSE(permission.covers({"m", "v1.0"}));
  CHECK_FALSE(permission.covers({"mm", "v1"}));
}

TEST_CASE("a permission without a version covers each version of that module alone") {
  CodeFromStringsPermission permission;
  REQUIRE(permission.add("m"));
  CHECK(permission.covers({"m", "v1"}));
  CHECK(permission.covers({"m", "v2"}));
  CHECK_FALSE(permission.covers({"mm", "v1"}));
  CHECK_FALSE(permission.covers({"M", "v1"}));
}

TEST_CASE("a text that names no module is refused and covers nothing") {
  for (const char* text : {"", "@", "m@", "@v1", "*", "m@*", "m@v1@v2", ".m", "m/n", "m ", "m\n"}) {
    CAPTURE(std::string_view(text));
    CodeFromStringsPermission permission;
    const auto added = permission.add(text);
    REQUIRE_FALSE(added);
    CHECK(added.error().find("does not name a module") != std::string::npos);
    CHECK_FALSE(permission.covers({text, "v1"}));
    CHECK_FALSE(permission.covers({"m", "v1"}));
  }
}

}  // namespace
}  // namespace holdfast::supervisor
