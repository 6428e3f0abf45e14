// The tables of the Encoding Standard, taken from ICU's converters and corrected where those differ. They were
// compared with the standard's own tables, entry by entry; tests/javascript/encoding_test.cc repeats that by
// checksums.
#include <unicode/ucnv.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/utf.h"
#include "worker/plain/broken.h"
#include "worker/plain/text_encodings.h"

namespace holdfast::worker {
namespace {

using Converter = std::unique_ptr<UConverter, decltype(&ucnv_close)>;

// ICU's data is a library of the process. If one of its converters is missing, the installation is broken.
[[noreturn]] void converter_failed(const char* name, UErrorCode status) {
  broken(std::string("ICU has the converter ") + name + ": " + u_errorName(status));
}

// The code points of `count` pieces of `Size` bytes. 0 for a piece that is no code point, or more than one.
template <std::size_t Size, typename BytesOf>
std::vector<char32_t> convert_each(const char* name, std::size_t count, BytesOf bytes_of) {
  UErrorCode status = U_ZERO_ERROR;
  const Converter converter(ucnv_open(name, &status), ucnv_close);
  if (U_FAILURE(status)) converter_failed(name, status);

  std::vector<char32_t> code_points(count);
  // After each piece comes a byte that continues no character, so that an incomplete one ends with its piece.
  constexpr std::size_t kStride = Size + 1, kBatch = 64;
  std::array<char, kBatch * kStride> source;
  std::array<char16_t, source.size() + 8> target;
  std::array<std::int32_t, target.size()> offsets;
  for (std::size_t begin = 0; begin < count; begin += kBatch) {
    const std::size_t pieces = std::min(kBatch, count - begin);
    for (std::size_t piece = 0; piece < pieces; ++piece) {
      const std::array<std::uint8_t, Size> bytes = bytes_of(begin + piece);
      for (std::size_t at = 0; at < Size; ++at) source[piece * kStride + at] = static_cast<char>(bytes[at]);
      source[piece * kStride + Size] = '\n';
    }
    char16_t* out = target.data();
    const char* in = source.data();
    ucnv_toUnicode(converter.get(), &out, target.data() + target.size(), &in, in + pieces * kStride, offsets.data(),
                   true, &status);
    if (U_FAILURE(status)) converter_failed(name, status);
    ucnv_reset(converter.get());
    const auto units = static_cast<std::size_t>(out - target.data());
    for (std::size_t at = 0; at < units;) {
      const auto offset = static_cast<std::size_t>(offsets[at]);
      std::size_t end = at + 1;
      while (end < units && offsets[end] == offsets[at]) ++end;
      if (offset % kStride == 0) {
        char32_t& code_point = code_points[begin + offset / kStride];
        if (end - at == 1 && target[at] != kReplacementCharacter) code_point = target[at];
        if (end - at == 2 && (target[at] & 0xFC00) == 0xD800) {
          code_point = 0x10000 + ((target[at] & 0x3FFU) << 10) + (target[at + 1] & 0x3FFU);
        }
      }
      at = end;
    }
  }
  return code_points;
}

void drop_private_use(std::vector<char32_t>& code_points) {
  for (char32_t& code_point : code_points) {
    if (code_point >= 0xE000 && code_point < 0xF900) code_point = 0;
  }
}

// `count` pointers whose code points follow one another.
struct Run {
  std::uint16_t pointer;
  char16_t code_point;
  std::uint16_t count;
};

void put_right(std::vector<char32_t>& code_points, std::span<const Run> runs) {
  for (const auto& [pointer, code_point, count] : runs) {
    for (std::uint16_t at = 0; at < count; ++at) code_points[pointer + at] = static_cast<char32_t>(code_point + at);
  }
}

// Characters that GB 18030-2022 moved out of the private use area.
constexpr Run kGb18030Runs[] = {
    {6555, 0x3000, 1},  {7182, 0xFE10, 1},  {7183, 0xFE12, 1},  {7184, 0xFE11, 1},  {7185, 0xFE13, 4},
    {7201, 0xFE17, 2},  {7208, 0xFE19, 1},  {23775, 0x9FB4, 1}, {23783, 0x9FB5, 1}, {23788, 0x9FB6, 2},
    {23795, 0x9FB8, 1}, {23812, 0x9FB9, 1}, {23829, 0x9FBA, 1}, {23845, 0x9FBB, 1},
};

// What the standard's Big5 contains and ICU's Big5-HKSCS lacks: other vendors' characters, and later ones.
constexpr Run kBig5Runs[] = {
    {1008, 0x9F97, 1},  {1016, 0x9F96, 1},  {1099, 0x31C0, 5},  {1105, 0x31C5, 1},  {1108, 0x31C6, 2},
    {1112, 0x31C8, 1},  {1114, 0x31C9, 4},  {1119, 0x31CD, 2},  {1170, 0x23DA, 2},  {1730, 0x9FA6, 1},
    {1772, 0x9FA7, 1},  {1779, 0x9FA8, 1},  {1812, 0x9FA9, 1},  {1814, 0x9FAA, 1},  {1816, 0x9FAB, 1},
    {1821, 0x9FAC, 1},  {1844, 0x9FAD, 2},  {1847, 0x9FAF, 1},  {1866, 0x9FB2, 1},  {1892, 0x9FB3, 1},
    {2082, 0x7BB8, 1},  {2088, 0x7C06, 1},  {2103, 0x7CCE, 1},  {2114, 0x7DD2, 1},  {2123, 0x7E1D, 1},
    {2148, 0x8005, 1},  {2151, 0x8028, 1},  {2221, 0x83C1, 1},  {2239, 0x84A8, 1},  {2244, 0x840F, 1},
    {2303, 0x89A6, 1},  {2304, 0x89A9, 1},  {2354, 0x8D77, 1},  {2400, 0x90FD, 1},  {2413, 0x92B9, 1},
    {2477, 0x975C, 1},  {2498, 0x97FF, 1},  {2605, 0x9F16, 1},  {2673, 0x8503, 1},  {2746, 0x5159, 1},
    {2747, 0x515B, 1},  {2748, 0x515D, 2},  {2771, 0x936E, 1},  {2780, 0x7479, 1},  {2990, 0x6D67, 1},
    {3087, 0x799B, 1},  {3259, 0x9097, 1},  {3301, 0x975D, 1},  {3436, 0x701E, 1},  {3451, 0x5B28, 1},
    {4136, 0x7201, 1},  {4138, 0x77D7, 1},  {4141, 0x7E87, 1},  {4182, 0x99D6, 1},  {4206, 0x91D4, 1},
    {4220, 0x60DE, 1},  {4230, 0x6FB6, 1},  {4241, 0x8F36, 1},  {4258, 0x4FBB, 1},  {4273, 0x71DF, 1},
    {4279, 0x9104, 1},  {4282, 0x9DF0, 1},  {4294, 0x83CF, 1},  {4329, 0x5C10, 1},  {4330, 0x79E3, 1},
    {4349, 0x5A67, 1},  {4419, 0x8F0B, 1},  {4422, 0x7B51, 1},  {4494, 0x62D0, 1},  {4624, 0x6062, 1},
    {4694, 0x75F9, 1},  {4708, 0x6C4A, 1},  {4742, 0x9B2E, 1},  {4748, 0x9F17, 1},  {4815, 0x50ED, 1},
    {4828, 0x5F0C, 1},  {4902, 0x880F, 1},  {4922, 0x62CE, 1},  {4982, 0x7468, 1},  {4992, 0x7162, 1},
    {4997, 0x7250, 1},  {5432, 0x2400, 32}, {5464, 0x2421, 1},  {10942, 0x5EF4, 1}, {10946, 0x65E0, 1},
    {10948, 0x7676, 1}, {10950, 0x96B6, 1}, {10957, 0x3003, 1}, {10958, 0x4EDD, 1}, {11204, 0x31CF, 1},
    {11210, 0x9FB0, 1}, {11212, 0x9FB1, 1}, {19028, 0x5029, 1}, {19035, 0x507D, 1}, {19088, 0x5305, 1},
    {19096, 0x5344, 1}, {19112, 0x537F, 1}, {19162, 0x5605, 1}, {19240, 0x5A77, 1}, {19299, 0x5E75, 1},
    {19305, 0x5ED0, 1}, {19326, 0x5F58, 1}, {19355, 0x60A4, 1}, {19398, 0x6490, 1}, {19439, 0x6674, 1},
    {19454, 0x675E, 1}, {19553, 0x6C9C, 1}, {19554, 0x6E1D, 1}, {19557, 0x6E2F, 1}, {19611, 0x716E, 1},
    {19643, 0x732A, 1}, {19672, 0x745C, 1}, {19697, 0x74E9, 1}, {19748, 0x7809, 1},
};

std::vector<char32_t> make_index(TextIndex index) {
  const auto byte = [](std::size_t value) { return static_cast<std::uint8_t>(value); };
  // The two ranges of second bytes leave out 0x7F, or more.
  const auto pairs = [&](std::size_t row, std::size_t before_gap, std::size_t after_gap) {
    return [=](std::size_t pointer) {
      const std::size_t trail = pointer % row;
      return std::array{byte(0x81 + pointer / row), byte(trail + (trail < 0x3F ? before_gap : after_gap))};
    };
  };
  switch (index) {
    case TextIndex::jis0208:
      return convert_each<2>("windows-31j", 60 * 188, [&](std::size_t pointer) {
        const std::size_t lead = pointer / 188, trail = pointer % 188;
        return std::array{byte(lead + (lead < 0x1F ? 0x81 : 0xC1)), byte(trail + (trail < 0x3F ? 0x40 : 0x41))};
      });
    case TextIndex::jis0212:
      // Beyond these rows ICU has characters of a vendor.
      return convert_each<3>("euc-jp", 82 * 94, [&](std::size_t pointer) {
        return std::array{byte(0x8F), byte(0xA1 + pointer / 94), byte(0xA1 + pointer % 94)};
      });
    case TextIndex::gb18030: {
      auto code_points = convert_each<2>("gb18030", 126 * 190, pairs(190, 0x40, 0x41));
      put_right(code_points, kGb18030Runs);
      return code_points;
    }
    case TextIndex::big5: {
      auto code_points = convert_each<2>("big5-hkscs", 126 * 157, pairs(157, 0x40, 0x62));
      drop_private_use(code_points);
      put_right(code_points, kBig5Runs);
      return code_points;
    }
    case TextIndex::euc_kr: {
      auto code_points = convert_each<2>("windows-949", 126 * 190, pairs(190, 0x41, 0x41));
      drop_private_use(code_points);
      return code_points;
    }
  }
  broken("each index of the Encoding Standard has a converter");
}

constexpr std::string_view kSingleByteNames[] = {
    "ibm866",       "iso-8859-2",   "iso-8859-3",   "iso-8859-4",   "iso-8859-5",   "iso-8859-6",   "iso-8859-7",
    "iso-8859-8",   "iso-8859-8",   "iso-8859-10",  "iso-8859-13",  "iso-8859-14",  "iso-8859-15",  "",
    "koi8-r",       "koi8-u",       "macintosh",    "windows-874",  "windows-1250", "windows-1251", "windows-1252",
    "windows-1253", "windows-1254", "windows-1255", "windows-1256", "windows-1257", "windows-1258", "x-mac-cyrillic",
};
constexpr std::size_t kSingleByteEncodings = kTextEncodings - static_cast<std::size_t>(TextEncoding::ibm866);
static_assert(std::size(kSingleByteNames) == kSingleByteEncodings);

// From 0xA0 on; ICU has no ISO-8859-16.
constexpr std::u16string_view kIso8859_16 =
    u"\u00a0\u0104\u0105\u0141\u20ac\u201e\u0160\u00a7\u0161\u00a9\u0218\u00ab\u0179\u00ad\u017a\u017b"
    u"\u00b0\u00b1\u010c\u0142\u017d\u201d\u00b6\u00b7\u017e\u010d\u0219\u00bb\u0152\u0153\u0178\u017c"
    u"\u00c0\u00c1\u00c2\u0102\u00c4\u0106\u00c6\u00c7\u00c8\u00c9\u00ca\u00cb\u00cc\u00cd\u00ce\u00cf"
    u"\u0110\u0143\u00d2\u00d3\u00d4\u0150\u00d6\u015a\u0170\u00d9\u00da\u00db\u00dc\u0118\u021a\u00df"
    u"\u00e0\u00e1\u00e2\u0103\u00e4\u0107\u00e6\u00e7\u00e8\u00e9\u00ea\u00eb\u00ec\u00ed\u00ee\u00ef"
    u"\u0111\u0144\u00f2\u00f3\u00f4\u0151\u00f6\u015b\u0171\u00f9\u00fa\u00fb\u00fc\u0119\u021b\u00ff";
static_assert(kIso8859_16.size() == 96);

std::array<char16_t, 128> make_single_byte_index(TextEncoding encoding) {
  std::array<char16_t, 128> index{};
  if (encoding == TextEncoding::iso_8859_16) {
    for (std::size_t at = 0; at < index.size(); ++at) {
      index[at] = at < 0x20 ? static_cast<char16_t>(0x80 + at) : kIso8859_16[at - 0x20];
    }
    return index;
  }
  const auto which = static_cast<std::size_t>(encoding) - static_cast<std::size_t>(TextEncoding::ibm866);
  auto code_points = convert_each<1>(kSingleByteNames[which].data(), index.size(), [](std::size_t pointer) {
    return std::array{static_cast<std::uint8_t>(0x80 + pointer)};
  });
  if (encoding == TextEncoding::windows_874) drop_private_use(code_points);
  for (std::size_t at = 0; at < index.size(); ++at) index[at] = static_cast<char16_t>(code_points[at]);
  // The standard's KOI8-U is called KOI8-RU elsewhere.
  if (encoding == TextEncoding::koi8_u) {
    index[0xAE - 0x80] = 0x045E;
    index[0xBE - 0x80] = 0x040E;
  }
  if (encoding == TextEncoding::windows_1253) index[0xAA - 0x80] = 0;
  if (encoding == TextEncoding::windows_1255) index[0xCA - 0x80] = 0x05BA;
  return index;
}

}  // namespace

char32_t code_point_of(TextIndex index, std::size_t pointer) {
  static std::array<std::vector<char32_t>, 5> indexes;
  std::vector<char32_t>& code_points = indexes[static_cast<std::size_t>(index)];
  if (code_points.empty()) code_points = make_index(index);
  return pointer < code_points.size() ? code_points[pointer] : 0;
}

char32_t gb18030_ranges_code_point(std::size_t pointer) {
  constexpr std::size_t kPointers = 39420;
  if (pointer >= kPointers) return 0;
  static const std::vector<char32_t> code_points = convert_each<4>("gb18030", kPointers, [](std::size_t at) {
    const auto byte = [](std::size_t value) { return static_cast<std::uint8_t>(value); };
    return std::array{byte(0x81 + at / 12600), byte(0x30 + at / 1260 % 10), byte(0x81 + at / 10 % 126),
                      byte(0x30 + at % 10)};
  });
  // This pointer's code point is the replacement character, which looks like an error here.
  constexpr std::size_t kReplacementPointer = 39417;
  return pointer == kReplacementPointer ? char32_t{kReplacementCharacter} : code_points[pointer];
}

const std::array<char16_t, 128>& single_byte_index(TextEncoding encoding) {
  static std::array<std::unique_ptr<const std::array<char16_t, 128>>, kSingleByteEncodings> indexes;
  auto& index = indexes[static_cast<std::size_t>(encoding) - static_cast<std::size_t>(TextEncoding::ibm866)];
  if (!index) index = std::make_unique<const std::array<char16_t, 128>>(make_single_byte_index(encoding));
  return *index;
}

}  // namespace holdfast::worker
