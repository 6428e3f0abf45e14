#include "ipc/base/text.h"

#include <doctest/doctest.h>

#include <ostream>
#include <random>
#include <string>

namespace holdfast::ipc {
namespace {

constexpr std::size_t kEnough = 1000;

// An independent check of well-formed UTF-8: decodes by arithmetic, and refuses what the Unicode Standard forbids.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const std::size_t length = byte(i) < 0x80 ? 1 : byte(i) < 0xC0 ? 0 : byte(i) < 0xE0 ? 2 : byte(i) < 0xF0 ? 3 : 4;
    if (length == 0 || byte(i) > 0xF7 || i + length > text.size()) return false;
    std::uint32_t code = length == 1 ? byte(i) : byte(i) & (0x7Fu >> length);
    for (std::size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return false;
      code = code << 6 | (byte(i + k) & 0x3Fu);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    i += length;
  }
  return true;
}

TEST_CASE("well-formed text is left as it is") {
  for (const char* text : {"", "plain", "Grüße", "日本語", "😀 emoji", "\x7F and \x01", "\xEF\xBF\xBD",
                           "\xED\x9F\xBF\xEE\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    CHECK(clean_utf8(text, kEnough) == text);
  }
  CHECK(clean_utf8(std::string_view("a\0b", 3), kEnough) == std::string_view("a\0b", 3));
}

TEST_CASE("each byte that is not part of a well-formed character becomes a replacement character") {
  const auto replaced = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += "\xEF\xBF\xBD";
    return text;
  };
  CHECK(clean_utf8("a\xFFz", kEnough) == "a" + replaced(1) + "z");
  CHECK(clean_utf8("\x80", kEnough) == replaced(1));
  CHECK(clean_utf8("\xC3", kEnough) == replaced(1));
  CHECK(clean_utf8("\xE2\x82", kEnough) == replaced(2));
  CHECK(clean_utf8("\xF0\x9F\x98", kEnough) == replaced(3));
  CHECK(clean_utf8("\xC3(", kEnough) == replaced(1) + "(");
  // Overlong forms, surrogates, and code points above U+10FFFF.
  CHECK(clean_utf8("\xC0\x80", kEnough) == replaced(2));
  CHECK(clean_utf8("\xE0\x80\x80", kEnough) == replaced(3));
  CHECK(clean_utf8("\xF0\x80\x80\x80", kEnough) == replaced(4));
  CHECK(clean_utf8("\xED\xA0\x80", kEnough) == replaced(3));
  CHECK(clean_utf8("\xF4\x90\x80\x80", kEnough) == replaced(4));
}

TEST_CASE("text that just fits is not cut") {
  CHECK(clean_utf8("abcd", 4) == "abcd");
  CHECK(clean_utf8("Grüße", 7) == "Grüße");
  CHECK(clean_utf8("\xFF", 3) == "\xEF\xBF\xBD");
  CHECK(clean_utf8("a", 1) == "a");
  CHECK(clean_utf8("", 0).empty());
}

TEST_CASE("text that is too long is cut at a character's border and ends with an ellipsis") {
  CHECK(clean_utf8("abcde", 4) == "a…");
  CHECK(clean_utf8("abcdefgh", 7) == "abcd…");
  CHECK(clean_utf8("ääää", 7) == "ää…");
  CHECK(clean_utf8("ääää", 6) == "ä…");
  CHECK(clean_utf8("😀😀", 7) == "😀…");
  CHECK(clean_utf8("😀😀", 6) == "…");
}

TEST_CASE("where not even the ellipsis fits, no more than the room is used") {
  for (std::size_t room : {0, 1, 2}) {
    CHECK(clean_utf8("abcdef", room).size() <= room);
    CHECK(clean_utf8("\xFF\xFF", room).size() <= room);
  }
}

TEST_CASE("whatever the bytes and the room, cleaned text is well-formed UTF-8 that fits") {
  std::mt19937_64 random(1);
  const std::string_view pieces[] = {"a",        "ä",        "日",           "😀",    "\x80", "\xC3",
                                     "\xE2\x82", "\xF0\x9F", "\xED\xA0\x80", "\xFF", "\n"};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (auto count = random() % 20; count > 0; --count) text += pieces[random() % std::size(pieces)];
    const std::size_t room = random() % 40;
    const std::string clean = clean_utf8(text, room);
    REQUIRE(clean.size() <= room);
    REQUIRE(is_utf8(clean));
    const std::string whole = clean_utf8(text, kEnough);
    if (whole.size() <= room) REQUIRE(clean == whole);
    CHECK(clean_utf8(clean, room) == clean);
  }
}

TEST_CASE("control characters become visible escapes") {
  CHECK(printable("\x1B[31mred", Newlines::escape) == "\\x1b[31mred");
  CHECK(printable(std::string_view("\0", 1), Newlines::escape) == "\\x00");
  CHECK(printable("\r\b\a\x7F", Newlines::keep) == "\\x0d\\x08\\x07\\x7f");
  // C1 controls: U+009B is a control sequence introducer, U+0085 a new line.
  CHECK(printable("\xC2\x9B\x33\x31m", Newlines::keep) == "\\x9b31m");
  CHECK(printable("\xC2\x85\xC2\x80\xC2\x9F", Newlines::keep) == "\\x85\\x80\\x9f");
}

TEST_CASE("newlines are kept or escaped as asked, tabs are kept") {
  CHECK(printable("a\n\tb", Newlines::keep) == "a\n\tb");
  CHECK(printable("a\n\tb", Newlines::escape) == "a\\n\tb");
}

TEST_CASE("visible text of any language stays as it is") {
  for (const char* text : {"plain \\ text", "Grüße", "日本語", "😀", "\xC2\xA0", "¡"}) {
    CHECK(printable(text, Newlines::escape) == text);
  }
}

TEST_CASE("bytes that are not UTF-8 cannot smuggle a control character past a terminal") {
  // 0x9B alone is the control sequence introducer for a terminal that does not speak UTF-8.
  CHECK(printable("\x9B", Newlines::escape) == "\\x9b");
  CHECK(printable("\xC3\x1B[2J", Newlines::escape) == "\\xc3\\x1b[2J");
  CHECK(printable("\xC2\nforged line", Newlines::escape) == "\\xc2\\nforged line");
  CHECK(printable("\xC2\xC2\x9B", Newlines::escape) == "\\xc2\\x9b");
  std::mt19937_64 random(2);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 12, '\0');
    for (char& c : text) c = static_cast<char>(random());
    const std::string shown = printable(text, Newlines::escape);
    REQUIRE(is_utf8(shown));
    for (std::size_t k = 0; k < shown.size(); ++k) {
      const auto byte = static_cast<unsigned char>(shown[k]);
      REQUIRE((byte >= 0x20 || byte == '\t'));
      REQUIRE(byte != 0x7F);
      if (byte == 0xC2) REQUIRE(static_cast<unsigned char>(shown[k + 1]) >= 0xA0);
    }
  }
}

TEST_CASE("a text that a message shows is one line of printable text, and no more than its beginning") {
  CHECK(shown("a\n\x1B[2J") == "a\\n\\x1b[2J");
  CHECK(shown(std::string(kMaxShownBytes, 'a')) == std::string(kMaxShownBytes, 'a'));
  CHECK(shown(std::string(kMaxShownBytes + 1, 'a')) == std::string(kMaxShownBytes - 3, 'a') + "…");
  CHECK(shown("abcde", 4) == "a…");
}

}  // namespace
}  // namespace holdfast::ipc
