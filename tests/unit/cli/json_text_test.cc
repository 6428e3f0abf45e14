#include "tools/cli/json_text.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string_view>

using namespace holdfast::cli;

TEST_CASE("every kind of JSON text is accepted") {
  for (const char* text : {"null", "true", "-5", "1.5e3", "\"x\"", "[]", "{}", " {\"a\":[1,{\"b\":null}]} \n"}) {
    CAPTURE(std::string_view(text));
    CHECK_FALSE(json_problem(text));
  }
}

TEST_CASE("a text nested a million deep is checked without trouble") {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  CHECK_FALSE(json_problem(deep));
}

TEST_CASE("lone surrogates in escapes are JSON, as JavaScript writes them") {
  CHECK_FALSE(json_problem(R"("\ud800")"));
  CHECK_FALSE(json_problem(R"(["\uDFFF\ud83d", "\ud83d\ude00"])"));
}

TEST_CASE("what only looks like a surrogate's escape stays an error") {
  CHECK(json_problem(R"("\ud8")"));
  CHECK(json_problem(R"("\ud8zz")"));
  CHECK_FALSE(json_problem(R"("\\ud800")"));
}

TEST_CASE("a text that is not JSON is refused with the place and the reason") {
  CHECK(*json_problem("") == "it is empty");
  CHECK(*json_problem(" \n ") == "it is empty");
  CHECK(json_problem("{a:1}")->starts_with("line 1, column 2: "));
  CHECK(json_problem("[1,\n 2,\n oops]")->starts_with("line 3, column 2: "));
  CHECK(json_problem("[\"\\ud800\",\n oops]")->starts_with("line 2, column 2: "));
  CHECK(json_problem("1 2"));
  CHECK(json_problem("'x'"));
  CHECK(json_problem("\"\xFF\""));
}

TEST_CASE("a NUL does not hide what follows it") {
  CHECK(*json_problem(std::string_view("1\n \0garbage", 11)) == "line 2, column 2: a NUL character");
}

TEST_CASE("a byte order mark is refused") {
  CHECK(json_problem("\xEF\xBB\xBF{}")->find("byte order mark") != std::string::npos);
}

TEST_CASE("a problem's text is fit to print") {
  const auto problem = json_problem("\"a\x1b[2J");
  REQUIRE(problem);
  CHECK(problem->find('\x1b') == std::string::npos);
}

TEST_CASE("arrays are distinguished from other values") {
  CHECK(is_json_array(" \t\r\n[1]"));
  CHECK_FALSE(is_json_array("{\"a\":[1]}"));
  CHECK_FALSE(is_json_array("\"[\""));
}

TEST_CASE("a document is written in one line of valid UTF-8 whatever its strings hold") {
  CHECK(to_output({{"text", "a\nb\xFF\x1b"}}) == "{\"text\":\"a\\nb\xEF\xBF\xBD\\u001b\"}");
}

TEST_CASE("numbers beyond a double are JSON as for JSON.parse") {
  for (const std::string& number :
       {std::string("1e400"), std::string("-1E+400"), std::string("12e999999999999999999999"), std::string("1e-99999"),
        std::string(400, '9'), "-" + std::string(400, '1') + ".5", std::string("123.456e400"), std::string("10e309"),
        std::string("99"), std::string("0.5e400"), "0." + std::string(5000, '3'), std::string("123e+4000")}) {
    CAPTURE(number);
    CHECK_FALSE(json_problem(number));
    CHECK_FALSE(json_problem("{\"n\":[" + number + " ," + number + "],\"s\":\"\\\" 1e400 \\ud800\"}"));
  }
}

TEST_CASE("malformed numbers beyond a double are not JSON and the error names their place") {
  for (const char* wrong : {"1e", "1e+", "01e400", "1e400.5", "1.e400", "-", "-e400", "1e400e400", "[1e400 1]",
                            "1e400x", "+1e400", ".5e400", "1e4 00"}) {
    CAPTURE(wrong);
    CHECK(json_problem(wrong));
  }
  CHECK(json_problem("[1e400,\n 12345e400, x]")->starts_with("line 2, column 13"));
}

TEST_CASE("deep nesting and repeated keys are JSON") {
  const std::size_t depth = 200'000;
  CHECK_FALSE(json_problem(std::string(depth, '[') + std::string(depth, ']')));
  CHECK_FALSE(json_problem(R"({"a":1,"a":1e400})"));
}
