// Hostile settings files: whatever their bytes, the result is a value or mistakes that are safe to print, and the
// process survives.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "supervisor/settings/settings.h"
#include "tests/unit/supervisor/settings_support.h"

namespace holdfast::supervisor {
namespace {

std::string repeated(std::string_view part, std::size_t times) {
  std::string text;
  while (times-- > 0) text += part;
  return text;
}

bool is_printable_line(const std::string& text) {
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return text.size() < 4096;
}

TEST_CASE("a file of the largest size is read, and a larger one is refused with both sizes") {
  std::string text = "[defaults]\nweight = 7\n#" + std::string(Settings::kMaxBytes, 'x');
  text.resize(Settings::kMaxBytes);
  const auto largest = Settings::parse(text, "s.toml", {});
  REQUIRE(largest.has_value());
  CHECK(largest->of({"a", "1"}).weight == 7);
  CHECK(mistake(std::string(2 * Settings::kMaxBytes, '#')) == "s.toml: it has 2MB; at most 1MB are allowed");
  CHECK(mistakes(text + "x").size() == 1);
}

TEST_CASE("values that are deep inside one another are a mistake") {
  CHECK(mistake("a = " + repeated("[", 100'000)).starts_with("s.toml:1: "));
  CHECK(mistake("a = " + repeated("{a=", 100'000)).starts_with("s.toml:1: "));
  CHECK(mistake("a = " + repeated("{a=[", 100'000)).starts_with("s.toml:1: "));
}

TEST_CASE("keys of very many parts are a mistake even if spread over lines and brackets") {
  CHECK(mistake(repeated("a.", 400'000) + "a = 1\n") == "s.toml:1: the line has more than 32 dots");
  CHECK(mistake("\n[" + repeated("a.", 400'000) + "a]\n") == "s.toml:2: the line has more than 32 dots");
  const std::string many_parts = repeated("a.", 32) + "a = ";
  CHECK_FALSE(mistakes(many_parts + "1\n").empty());
  // Nesting as deep as the bounds allow.
  CHECK_FALSE(mistakes(many_parts + repeated("[\n{" + many_parts, 127) + "1" + repeated("}]", 127) + "\n").empty());
  CHECK_FALSE(mistakes(many_parts + repeated("[\n{" + many_parts, 5000)).empty());
}

TEST_CASE("numbers out of range are a mistake") {
  for (const std::string number :
       {"9223372036854775808", "-9223372036854775809", "99999999999999999999999999", "0xffffffffffffffffff", "1e400"}) {
    CAPTURE(number);
    CHECK(mistake("[defaults]\nweight = " + number + "\n").starts_with("s.toml:2: "));
  }
  CHECK(mistake("[defaults]\nweight = " + std::string(500'000, '9') + "\n").starts_with("s.toml:2: "));
  CHECK(mistake("[defaults]\nmemory = \"" + std::string(500'000, '9') + "MB\"\n").starts_with("s.toml:2: "));
}

TEST_CASE("a repeated key or table is a mistake") {
  CHECK(mistake("[defaults]\nweight = 1\nweight = 2\n").starts_with("s.toml:3: "));
  CHECK(mistake("[module.a]\n[module.a]\n").starts_with("s.toml:2: "));
  CHECK(mistake("[module.a]\n[module.\"a\"]\n").starts_with("s.toml:2: "));
  CHECK(mistake("[defaults]\n[module.a]\n[defaults]\n").starts_with("s.toml:3: "));
}

TEST_CASE("what is not TOML is a mistake of one line") {
  for (const std::string text :
       {"[defaults", "weight", "= 1", "a = ", "a = \"", "a = '''", "]", "{", "\"\\u0000", "[]\n", "a = 1 b = 2",
        "<?xml version=\"1.0\"?>", "{\"defaults\": {}}", "a = tru", "\\", "a = \"\\q\""}) {
    CAPTURE(text);
    const std::string said = mistake(text);
    CHECK(said.starts_with("s.toml:"));
    CHECK(is_printable_line(said));
  }
}

TEST_CASE("bytes that are not UTF-8, and control characters, are mistakes that can be printed") {
  for (const std::string& bytes : {std::string("\xff"), std::string("\xc0\x80"), std::string("\xed\xa0\x80"),
                                   std::string(1, '\0'), std::string("\x1b[2J"), std::string("\x7f")}) {
    for (const std::string& text : {bytes, "[defaults]\nweight = \"" + bytes + "\"\n", "# " + bytes + "\n"}) {
      for (const std::string& said : mistakes(text)) CHECK(is_printable_line(said));
    }
  }
}

TEST_CASE("control characters that TOML spells in ASCII reach no terminal") {
  for (const std::string text :
       {"\"\\u001b[2J\" = 1\n", "[module.\"a\\n\\u001b[2J\"]\n", "[module.\"a@\\u001b[2J\"]\n",
        "[defaults]\n\"\\u001b[2J\\nforged\" = 1\n", "[defaults]\nmemory = \"\\u001b[2J\\n5\"\n",
        "[defaults]\nweight = \"\\u001b[2J\\n5\"\n"}) {
    CAPTURE(text);
    CHECK(is_printable_line(mistake(text)));
  }
  for (const std::string& said : mistakes("x", "s\x1b[2J\n.toml")) CHECK(is_printable_line(said));
}

TEST_CASE("long names and values are shown in part") {
  const std::string long_text(100'000, 'x');
  for (const std::string& text :
       {long_text + " = 1\n", "[module." + long_text + "]\n", "[module.\"" + long_text + "@1\"]\n",
        "[defaults]\n" + long_text + " = 1\n", "[defaults]\nmemory = \"" + long_text + "\"\n",
        "[defaults]\nweight = \"" + long_text + "\"\n"}) {
    CHECK(is_printable_line(mistake(text)));
  }
}

TEST_CASE("a good file with any one byte changed is read or refused") {
  const std::string good =
      "[defaults]\ntimeout = \"5s\"\n[module.calculator]\nmax_instances = 4\n[module.\"calculator@v1\"]\n"
      "min_warm = 2 # two\nmemory = \"64MB\"\n";
  REQUIRE(Settings::parse(good, "s.toml", {}).has_value());
  std::mt19937 random(1);
  std::size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
      const std::size_t place = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[place] = static_cast<char>(random());
          break;
        case 1:
          text.erase(place, 1 + random() % 4);
          break;
        default:
          text.insert(place, text.substr(random() % text.size(), random() % 20));
      }
      if (text.empty()) text = "x";
    }
    const auto parsed = Settings::parse(text, "s.toml", {});
    if (parsed) continue;
    ++refused;
    for (const std::string& said : parsed.error()) REQUIRE_MESSAGE(is_printable_line(said), text);
  }
  CHECK(refused > 1000);
}

}  // namespace
}  // namespace holdfast::supervisor
