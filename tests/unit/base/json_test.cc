#include "ipc/base/json.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "ipc/error.h"

using namespace holdfast::ipc;

TEST_CASE("one JSON object is accepted") {
  for (const char* text :
       {"{}", " { } ", R"({"a":1})", R"({"a":-0.5e+10,"b":[ ],"c":[1, "x",true ,false,null,{}]})", R"({"":{"":{}}})",
        R"({"a":"\"\\\/\b\f\n\r\t\u00e9"})", "{\"a\":\"\xC3\xA9\xF0\x9F\x98\x80\x7F\"}", R"({"a":"\ud83d\ude00"})",
        R"({"a":1,"a":2})", R"({"a":1E5,"b":0e-1,"c":10})"}) {
    CAPTURE(text);
    CHECK(is_json_object(text));
  }
}

TEST_CASE("anything but one JSON object is refused") {
  for (const char* text : {"",
                           " ",
                           "null",
                           "1",
                           "[]",
                           R"("a")",
                           "{",
                           "}",
                           "{}{}",
                           "{} x",
                           R"({"a"})",
                           R"({"a":})",
                           R"({"a":1,})",
                           R"({,"a":1})",
                           R"({a:1})",
                           R"({'a':1})",
                           R"({"a":01})",
                           R"({"a":+1})",
                           R"({"a":1.})",
                           R"({"a":.5})",
                           R"({"a":1e})",
                           R"({"a":-})",
                           R"({"a":NaN})",
                           R"({"a":tru})",
                           R"({"a":[1,]})",
                           R"({"a":[1 2]})",
                           R"({"a":[})",
                           R"({"a":"x)",
                           R"({"a":"\x"})",
                           R"({"a":"\u12g4"})",
                           R"({"a":"\u12"})",
                           "{\"a\":\"\n\"}",
                           "{\"a\":\"\x1f\"}",
                           R"({"a":"\ud83d"})",
                           R"({"a":"\ude00\ud83d"})",
                           R"({"a":"\ud83dx"})",
                           "{\"a\":\"\xC3\"}",
                           "{\"a\":\"\xC0\xAF\"}",
                           "{\"a\":\"\xED\xA0\x80\"}",
                           "\xEF\xBB\xBF{}",
                           "{\"a\":1 /* */}"}) {
    CAPTURE(text);
    CHECK_FALSE(is_json_object(text));
  }
  CHECK_FALSE(is_json_object(std::string_view("{}\0", 3)));
  CHECK_FALSE(is_json_object(std::string_view("{\"a\0\":1}", 8)));
}

TEST_CASE("a deeply nested object is refused without a crash") {
  const auto nested = [](std::size_t depth) {
    return R"({"a":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  CHECK(is_json_object(nested(63)));
  CHECK_FALSE(is_json_object(nested(64)));
  CHECK_FALSE(is_json_object(nested(10'000'000)));
  CHECK_FALSE(is_json_object(R"({"a":)" + std::string(10'000'000, '[')));
}

TEST_CASE("properties that a worker sent are passed on as they are, or not at all") {
  const auto passed_on = [](std::string properties) {
    Error error;
    error.properties = std::move(properties);
    return cleaned(std::move(error)).properties;
  };
  CHECK(passed_on("") == "");
  CHECK(passed_on(R"({"code":"E_QUOTA","status":429})") == R"({"code":"E_QUOTA","status":429})");
  CHECK(passed_on("[1]") == "");
  CHECK(passed_on(R"({"code":)") == "");
  CHECK(passed_on("{\"code\":\"\xFF\"}") == "");
  const auto of_size = [](std::size_t bytes) { return R"({"a":")" + std::string(bytes - 8, 'x') + R"("})"; };
  CHECK(passed_on(of_size(kMaxPropertiesBytes)).size() == kMaxPropertiesBytes);
  CHECK(passed_on(of_size(kMaxPropertiesBytes + 1)) == "");
}

TEST_CASE("any bytes become a JSON string of one printable line that says the same") {
  for (const std::string& text :
       {std::string("plain"), std::string("\"quoted\" \\ back"), std::string("a\nb\tc\r"), std::string("\0\x1b[2J", 5),
        std::string("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
        std::string("\x7f\xc2\x9b"
                    "31m\xc2\xa0"),
        std::string()}) {
    CAPTURE(text);
    const std::string shown = json_string(text);
    CHECK(nlohmann::json::parse(shown).get<std::string>() == text);
    for (const char c : shown) CHECK((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
    CHECK(shown.find("\xc2\x9b") == std::string::npos);
  }
  CHECK(nlohmann::json::parse(json_string("a\xff"
                                          "b"))
            .get<std::string>() ==
        "a\xef\xbf\xbd"
        "b");
}

TEST_CASE("a JSON string is one line in which only what must be is escaped") {
  CHECK(json_string("a\"b\\c\n\t\r\x1b\x7f\xc2\x9b\xc2\xa0/\xff") ==
        "\"a\\\"b\\\\c\\n\\t\\u000d\\u001b\\u007f\\u009b\xc2\xa0/\xef\xbf\xbd\"");
}

TEST_CASE("output holds no control characters and means the same") {
  const std::string json = "[\"\x7f\xC2\x80\xC2\x9F\xC2\xA0\xC3\xA9\xE2\x82\xAC\"]";
  const std::string output = json_for_output(json);
  CHECK(output == "[\"\\u007f\\u0080\\u009f\xC2\xA0\xC3\xA9\xE2\x82\xAC\"]");
  CHECK(nlohmann::json::parse(output) == nlohmann::json::parse(json));
}
