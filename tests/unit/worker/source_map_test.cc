// Source maps, valid and hostile.
#include "worker/plain/source_map.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

namespace holdfast::worker {
namespace {

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) text += at + i <= bytes.size() ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

SourceMap map_of(std::string_view json) { return SourceMap(base64(json)); }

std::string found(SourceMap& map, std::uint32_t line, std::uint32_t column) {
  const auto place = map.find(line, column);
  return place ? place->source + ":" + std::to_string(place->line) + ":" + std::to_string(place->column) : "nothing";
}

// Line 1: columns 1 and 9 are a.ts:1:1, with the name "first", and b.ts:3:5. Line 3: column 1 is a.ts:2:1.
constexpr std::string_view kSmall =
    R"({"version":3,"sources":["./a.ts","../lib/b.ts"],"sourcesContent":["one\r\ntwo \"\\n\" \u00e9","x"],)"
    R"("names":["first"],"mappings":"AAAAA,QCEI;;ADDJ"})";

TEST_CASE("a place is taken from the last mapping at or before it on its line") {
  SourceMap map = map_of(kSmall);
  CHECK(found(map, 1, 1) == "a.ts:1:1");
  CHECK(found(map, 1, 8) == "a.ts:1:1");
  CHECK(found(map, 1, 9) == "lib/b.ts:3:5");
  CHECK(found(map, 1, 4000000000U) == "lib/b.ts:3:5");
  CHECK(found(map, 2, 1) == "nothing");
  CHECK(found(map, 3, 1) == "a.ts:2:1");
  CHECK(found(map, 4, 1) == "nothing");
  CHECK(found(map, 0, 0) == "nothing");
}

TEST_CASE("a name is known where its mapping begins, and nowhere else") {
  SourceMap map = map_of(kSmall);
  CHECK(map.name_at(1, 1) == "first");
  CHECK(map.name_at(1, 2) == "");
  CHECK(map.name_at(1, 9) == "");
}

TEST_CASE("a line of an original file is known where the map has its content") {
  SourceMap map = map_of(kSmall);
  CHECK(map.source_line("a.ts", 1) == "one");
  CHECK(map.source_line("a.ts", 2) == "two \"\\n\" \xc3\xa9");
  CHECK_FALSE(map.source_line("a.ts", 3).has_value());
  CHECK(map.source_line("lib/b.ts", 1) == "x");
  CHECK_FALSE(map.source_line("c.ts", 1).has_value());
}

TEST_CASE("a root is put in front of names that are relative") {
  SourceMap map =
      map_of(R"({"sourceRoot":"src","sources":["a.ts","/b.ts","webpack://c/d.ts"],"mappings":"AAAA,CCAA,CCAA"})");
  CHECK(found(map, 1, 1) == "src/a.ts:1:1");
  CHECK(found(map, 1, 2) == "/b.ts:1:1");
  CHECK(found(map, 1, 3) == "webpack://c/d.ts:1:1");
}

TEST_CASE("in a long map every place is found, at checkpoints and between them") {
  std::string mappings = "AAAA";
  for (int i = 1; i < 20000; ++i) mappings += i % 100 == 0 ? ";AACA" : ",EAAE";
  SourceMap map = map_of(R"({"sources":["a.ts"],"names":[],"mappings":")" + mappings + R"("})");
  for (std::uint32_t i = 0; i < 20000; i += 7) {
    const std::uint32_t line = i / 100 + 1, column = 2 * (i % 100) + 1;
    const std::uint32_t original_column = 2 * (i - i / 100) + 1;
    CAPTURE(i);
    REQUIRE(found(map, line, column) == "a.ts:" + std::to_string(line) + ":" + std::to_string(original_column));
  }
}

TEST_CASE("an inline map is taken from the last line only, and from nothing but a comment of this form") {
  const std::string comment = "//# sourceMappingURL=data:application/json;base64,";
  const std::string source = "code();\n" + comment + "QUJD\n \n";
  const auto map = find_inline_source_map(source);
  REQUIRE(map.has_value());
  CHECK(map->begins_at == 8);
  CHECK(map->base64 == "QUJD");
  CHECK(find_inline_source_map("//# sourceMappingURL=data:application/json;charset=utf-8;base64,QQ==")->base64 ==
        "QQ==");
  CHECK_FALSE(find_inline_source_map("code();\n" + comment + "QUJD\nmore();").has_value());
  CHECK_FALSE(find_inline_source_map("const text = `" + comment + "QUJD`").has_value());
  CHECK_FALSE(find_inline_source_map("//# sourceMappingURL=app.js.map").has_value());
  CHECK_FALSE(find_inline_source_map("").has_value());
  CHECK_FALSE(find_inline_source_map("====").has_value());
}

TEST_CASE("a map that is broken says nothing") {
  for (const std::string_view json :
       {"", "{", "[]", "null", "{}", R"({"mappings":7})", R"({"mappings":"AAAA)", R"({"mappings":"AAAA"})",
        R"({"sources":["a"],"mappings":"gggggggggggggggg"})", R"({"sources":["a"],"mappings":"AAAAAAAA"})",
        R"({"sources":["a"],"mappings":"ADAA"})", R"({"sources":[7],"mappings":"AAAA"})",
        R"({"sources":["a"],"mappings":"AADA"})", R"({"sources":["\)", R"({"sources":["a\ud800"],"mappings":"!"})",
        R"({"a":[[[[{"b":]}]]]})"}) {
    SourceMap map = map_of(json);
    CAPTURE(json);
    CHECK(found(map, 1, 1) == "nothing");
    CHECK(map.name_at(1, 1) == "");
  }
  SourceMap no_base64("*&^%");
  CHECK(found(no_base64, 1, 1) == "nothing");
}

TEST_CASE("nesting of any depth is read without a stack") {
  SourceMap map = map_of(R"({"x":)" + std::string(1 << 20, '[') + std::string(1 << 20, ']') +
                         R"(,"sources":["a.ts"],"mappings":"AAAA"})");
  CHECK(found(map, 1, 1) == "a.ts:1:1");
}

TEST_CASE("maps with any byte changed are read without harm") {
  std::mt19937 random(5);
  for (int round = 0; round < 20000; ++round) {
    std::string json(kSmall);
    for (int i = 0; i < 3; ++i) json[random() % json.size()] = static_cast<char>(random());
    SourceMap map = map_of(json.substr(0, random() % 8 == 0 ? random() % json.size() : json.size()));
    (void)found(map, random() % 5, random() % 20);
    (void)map.name_at(1, 1);
    const auto line = map.source_line("a.ts", random() % 4);
    CHECK((!line || line->size() <= json.size() * 2));
  }
}

}  // namespace
}  // namespace holdfast::worker
