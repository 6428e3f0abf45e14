#include "worker/plain/text_encodings.h"

#include "ipc/base/utf.h"

namespace holdfast::worker {
namespace {

constexpr bool is_within(std::uint8_t byte, std::uint8_t low, std::uint8_t high) { return byte >= low && byte <= high; }

// Writes what is decoded. Stops at the first error if errors are fatal.
class Output {
 public:
  Output(char16_t* into, OnTextError on_error) : begin_(into), at_(into), on_error_(on_error) {}

  void unit(char16_t unit) { *at_++ = unit; }
  void code_point(char32_t code_point) {
    if (code_point < 0x10000) return unit(static_cast<char16_t>(code_point));
    unit(static_cast<char16_t>(0xD7C0 + (code_point >> 10)));
    unit(static_cast<char16_t>(0xDC00 | (code_point & 0x3FF)));
  }
  void error() {
    failed_ = failed_ || on_error_ == OnTextError::stop;
    unit(kReplacementCharacter);
  }
  bool failed() const { return failed_; }
  Decoded result() const { return {static_cast<std::size_t>(at_ - begin_), failed_}; }

 private:
  char16_t* const begin_;
  char16_t* at_;
  const OnTextError on_error_;
  bool failed_ = false;
};

void remember(DecoderState& state, std::uint8_t byte) { state.pending[state.pending_count++] = byte; }

// Finishes a character of two bytes, whose first is pending. After an error, a second byte that is ASCII is decoded
// again.
void finish_pair(DecoderState& state, std::uint8_t byte, char32_t code_point, Output& out) {
  state.pending_count = 0;
  if (code_point != 0) return out.code_point(code_point);
  out.error();
  if (byte < 0x80) out.unit(byte);
}

// --- Chinese (Encoding Standard, 10 and 11) ------------------------------------------------------------------------

void decode_gb18030(DecoderState& state, std::uint8_t byte, Output& out);

// Three bytes are pending, and `byte` is the fourth.
void finish_gb18030_four(DecoderState& state, std::uint8_t byte, Output& out) {
  const auto [first, second, third, unused] = state.pending;
  state.pending_count = 0;
  if (!is_within(byte, 0x30, 0x39)) {
    out.error();
    // At most two of these begin a character, so this does not recurse further.
    decode_gb18030(state, second, out);
    decode_gb18030(state, third, out);
    return decode_gb18030(state, byte, out);
  }
  const std::size_t pointer =
      ((first - 0x81U) * 10 + second - 0x30U) * 1260 + (third - 0x81U) * std::size_t{10} + byte - 0x30U;
  constexpr std::size_t kFirstSupplementary = 189000;
  const char32_t code_point = pointer >= kFirstSupplementary
                                  ? static_cast<char32_t>(pointer - kFirstSupplementary + 0x10000)
                                  : gb18030_ranges_code_point(pointer);
  if (code_point == 0 || code_point > 0x10FFFF) return out.error();
  out.code_point(code_point);
}

void decode_gb18030(DecoderState& state, std::uint8_t byte, Output& out) {
  if (state.pending_count == 3) return finish_gb18030_four(state, byte, out);
  if (state.pending_count == 2) {
    if (is_within(byte, 0x81, 0xFE)) return remember(state, byte);
    const std::uint8_t second = state.pending[1];
    state.pending_count = 0;
    out.error();
    out.unit(second);  // a digit
    return decode_gb18030(state, byte, out);
  }
  if (state.pending_count == 1) {
    if (is_within(byte, 0x30, 0x39)) return remember(state, byte);
    const bool is_trail = is_within(byte, 0x40, 0x7E) || is_within(byte, 0x80, 0xFE);
    const std::size_t pointer = (state.pending[0] - 0x81U) * std::size_t{190} + byte - (byte < 0x7F ? 0x40U : 0x41U);
    return finish_pair(state, byte, is_trail ? code_point_of(TextIndex::gb18030, pointer) : 0, out);
  }
  if (byte < 0x80) return out.unit(byte);
  if (byte == 0x80) return out.unit(0x20AC);
  if (byte == 0xFF) return out.error();
  remember(state, byte);
}

void decode_big5(DecoderState& state, std::uint8_t byte, Output& out) {
  if (state.pending_count == 0) {
    if (byte < 0x80) return out.unit(byte);
    return is_within(byte, 0x81, 0xFE) ? remember(state, byte) : out.error();
  }
  const bool is_trail = is_within(byte, 0x40, 0x7E) || is_within(byte, 0xA1, 0xFE);
  const std::size_t pointer = (state.pending[0] - 0x81U) * std::size_t{157} + byte - (byte < 0x7F ? 0x40U : 0x62U);
  // Four pointers stand for two characters.
  if (is_trail && (pointer == 1133 || pointer == 1135 || pointer == 1164 || pointer == 1166)) {
    state.pending_count = 0;
    out.unit(pointer < 1164 ? 0x00CA : 0x00EA);
    return out.unit(pointer == 1133 || pointer == 1164 ? 0x0304 : 0x030C);
  }
  finish_pair(state, byte, is_trail ? code_point_of(TextIndex::big5, pointer) : 0, out);
}

// --- Japanese (12) -------------------------------------------------------------------------------------------------

void decode_euc_jp(DecoderState& state, std::uint8_t byte, Output& out) {
  if (state.pending_count == 0) {
    if (byte < 0x80) return out.unit(byte);
    const bool is_lead = byte == 0x8E || byte == 0x8F || is_within(byte, 0xA1, 0xFE);
    return is_lead ? remember(state, byte) : out.error();
  }
  const bool is_three = state.pending[0] == 0x8F;
  const std::uint8_t lead = state.pending[state.pending_count - 1U];
  const bool is_trail = is_within(byte, 0xA1, 0xFE);
  if (lead == 0x8E && state.pending_count == 1 && is_within(byte, 0xA1, 0xDF)) {
    state.pending_count = 0;
    return out.unit(static_cast<char16_t>(0xFF61 - 0xA1 + byte));
  }
  if (is_three && state.pending_count == 1 && is_trail) return remember(state, byte);
  const bool is_pair = is_trail && is_within(lead, 0xA1, 0xFE);
  const std::size_t pointer = (lead - 0xA1U) * std::size_t{94} + byte - 0xA1U;
  finish_pair(state, byte, is_pair ? code_point_of(is_three ? TextIndex::jis0212 : TextIndex::jis0208, pointer) : 0,
              out);
}

void decode_shift_jis(DecoderState& state, std::uint8_t byte, Output& out) {
  if (state.pending_count == 0) {
    if (byte <= 0x80) return out.unit(byte);
    if (is_within(byte, 0xA1, 0xDF)) return out.unit(static_cast<char16_t>(0xFF61 - 0xA1 + byte));
    const bool is_lead = is_within(byte, 0x81, 0x9F) || is_within(byte, 0xE0, 0xFC);
    return is_lead ? remember(state, byte) : out.error();
  }
  const std::uint8_t lead = state.pending[0];
  const bool is_trail = is_within(byte, 0x40, 0x7E) || is_within(byte, 0x80, 0xFC);
  const std::size_t pointer =
      (lead - (lead < 0xA0 ? 0x81U : 0xC1U)) * std::size_t{188} + byte - (byte < 0x7F ? 0x40U : 0x41U);
  constexpr std::size_t kFirstPrivate = 8836, kLastPrivate = 10715;
  char32_t code_point = 0;
  if (is_trail && pointer >= kFirstPrivate && pointer <= kLastPrivate) {
    code_point = static_cast<char32_t>(0xE000 - kFirstPrivate + pointer);
  } else if (is_trail) {
    code_point = code_point_of(TextIndex::jis0208, pointer);
  }
  finish_pair(state, byte, code_point, out);
}

// The states of ISO-2022-JP's decoder (12.2.1). The first four are also states of its output.
enum Iso2022Jp : std::uint8_t { kAscii, kRoman, kKatakana, kLeadByte, kTrailByte, kEscapeStart, kEscape };

void set_iso_2022_jp(DecoderState& state, std::uint8_t decoder, std::uint8_t output) {
  state.mode = static_cast<std::uint8_t>(output << 4 | decoder);
}

void decode_iso_2022_jp(DecoderState& state, std::uint8_t byte, Output& out);

// ESC and `lead` came before. If they and `byte` are no escape sequence, all but the ESC are decoded again.
void decode_iso_2022_jp_escape(DecoderState& state, std::uint8_t byte, Output& out) {
  const std::uint8_t output = state.mode >> 4, lead = state.pending[0];
  state.pending_count = 0;
  int selected = -1;
  if (lead == 0x28 && byte == 0x42) selected = kAscii;
  if (lead == 0x28 && byte == 0x4A) selected = kRoman;
  if (lead == 0x28 && byte == 0x49) selected = kKatakana;
  if (lead == 0x24 && (byte == 0x40 || byte == 0x42)) selected = kLeadByte;
  if (selected >= 0) {
    const auto selection = static_cast<std::uint8_t>(selected);
    set_iso_2022_jp(state, selection, selection);
    if (state.flag) out.error();
    state.flag = true;
    return;
  }
  set_iso_2022_jp(state, output, output);
  state.flag = false;
  out.error();
  decode_iso_2022_jp(state, lead, out);
  decode_iso_2022_jp(state, byte, out);
}

void decode_iso_2022_jp(DecoderState& state, std::uint8_t byte, Output& out) {
  const std::uint8_t output = state.mode >> 4;
  const auto mode = static_cast<Iso2022Jp>(state.mode & 0xF);
  if (mode == kEscape) return decode_iso_2022_jp_escape(state, byte, out);
  if (mode == kEscapeStart) {
    if (byte == 0x24 || byte == 0x28) {
      remember(state, byte);
      return set_iso_2022_jp(state, kEscape, output);
    }
    set_iso_2022_jp(state, output, output);
    state.flag = false;
    out.error();
    return decode_iso_2022_jp(state, byte, out);
  }
  if (byte == 0x1B) {
    if (mode == kTrailByte) {
      state.pending_count = 0;
      out.error();
    }
    return set_iso_2022_jp(state, kEscapeStart, output);
  }
  if (mode == kTrailByte) {
    const std::uint8_t lead = state.pending[0];
    state.pending_count = 0;
    set_iso_2022_jp(state, kLeadByte, output);
    const std::size_t pointer = (lead - 0x21U) * std::size_t{94} + byte - 0x21U;
    const char32_t code_point = is_within(byte, 0x21, 0x7E) ? code_point_of(TextIndex::jis0208, pointer) : 0;
    return code_point == 0 ? out.error() : out.code_point(code_point);
  }
  state.flag = false;
  if (mode == kLeadByte) {
    if (!is_within(byte, 0x21, 0x7E)) return out.error();
    remember(state, byte);
    return set_iso_2022_jp(state, kTrailByte, output);
  }
  if (mode == kKatakana) {
    return is_within(byte, 0x21, 0x5F) ? out.unit(static_cast<char16_t>(0xFF61 - 0x21 + byte)) : out.error();
  }
  if (byte >= 0x80 || byte == 0x0E || byte == 0x0F) return out.error();
  if (mode == kRoman && byte == 0x5C) return out.unit(0x00A5);
  if (mode == kRoman && byte == 0x7E) return out.unit(0x203E);
  out.unit(byte);
}

// Whether anything was left at the end.
bool end_iso_2022_jp(DecoderState& state, Output& out) {
  switch (static_cast<Iso2022Jp>(state.mode & 0xF)) {
    case kEscape: {
      // The ESC is an error; its second byte is decoded again.
      const std::uint8_t output = state.mode >> 4, lead = state.pending[0];
      state.pending_count = 0;
      set_iso_2022_jp(state, output, output);
      out.error();
      decode_iso_2022_jp(state, lead, out);
      return end_iso_2022_jp(state, out);
    }
    case kEscapeStart:
    case kTrailByte:
      out.error();
      return true;
    default:
      return false;
  }
}

// --- Korean (13) ---------------------------------------------------------------------------------------------------

void decode_euc_kr(DecoderState& state, std::uint8_t byte, Output& out) {
  if (state.pending_count == 0) {
    if (byte < 0x80) return out.unit(byte);
    return is_within(byte, 0x81, 0xFE) ? remember(state, byte) : out.error();
  }
  const std::size_t pointer = (state.pending[0] - 0x81U) * std::size_t{190} + byte - 0x41U;
  finish_pair(state, byte, is_within(byte, 0x41, 0xFE) ? code_point_of(TextIndex::euc_kr, pointer) : 0, out);
}

// --- miscellaneous (14) --------------------------------------------------------------------------------------------

enum class ByteOrder { little, big };

// Of one of the two encodings of UTF-16.
ByteOrder byte_order(TextEncoding encoding) {
  return encoding == TextEncoding::utf_16be ? ByteOrder::big : ByteOrder::little;
}

// Keeps up to four bytes pending: a lead surrogate, and the first byte of what follows it.
void decode_utf_16(DecoderState& state, std::uint8_t byte, ByteOrder order, Output& out) {
  remember(state, byte);
  if (state.pending_count % 2 != 0) return;
  const auto unit_at = [&](std::size_t at) {
    const std::uint8_t first = state.pending[at], second = state.pending[at + 1];
    return static_cast<char16_t>(order == ByteOrder::big ? first << 8 | second : second << 8 | first);
  };
  char16_t unit = unit_at(0);
  if (state.pending_count == 4) {
    const char16_t next = unit_at(2);
    state.pending_count = 0;
    if ((next & 0xFC00) == 0xDC00) {
      out.unit(unit);
      return out.unit(next);
    }
    out.error();
    if ((next & 0xFC00) == 0xD800) {
      state.pending = {state.pending[2], state.pending[3]};
      state.pending_count = 2;
      return;
    }
    return out.unit(next);
  }
  if ((unit & 0xFC00) == 0xD800) return;  // waits for the trail surrogate
  state.pending_count = 0;
  (unit & 0xFC00) == 0xDC00 ? out.error() : out.unit(unit);
}

void decode_byte(TextEncoding encoding, DecoderState& state, std::uint8_t byte, Output& out) {
  switch (encoding) {
    case TextEncoding::utf_16le:
    case TextEncoding::utf_16be:
      return decode_utf_16(state, byte, byte_order(encoding), out);
    case TextEncoding::gbk:
    case TextEncoding::gb18030:
      return decode_gb18030(state, byte, out);
    case TextEncoding::big5:
      return decode_big5(state, byte, out);
    case TextEncoding::euc_jp:
      return decode_euc_jp(state, byte, out);
    case TextEncoding::iso_2022_jp:
      return decode_iso_2022_jp(state, byte, out);
    case TextEncoding::shift_jis:
      return decode_shift_jis(state, byte, out);
    case TextEncoding::euc_kr:
      return decode_euc_kr(state, byte, out);
    default:
      return;  // the others have no decoder of this form
  }
}

// Writes out the characters of two bytes at the beginning. Returns their size in bytes.
std::size_t decode_utf_16_run(std::span<const std::uint8_t> bytes, ByteOrder order, Output& out) {
  const std::size_t low = order == ByteOrder::big ? 1 : 0;
  std::size_t at = 0;
  for (; bytes.size() - at >= 2; at += 2) {
    const auto unit = static_cast<char16_t>(bytes[at + low] | bytes[at + 1 - low] << 8);
    if ((unit & 0xF800) == 0xD800) break;
    out.unit(unit);
  }
  return at;
}

Decoded decode_single_byte(TextEncoding encoding, std::span<const std::uint8_t> bytes, Output out) {
  const std::array<char16_t, 128>& index = single_byte_index(encoding);
  for (const std::uint8_t byte : bytes) {
    const char16_t unit = byte < 0x80 ? byte : index[byte - 0x80U];
    unit == 0 && byte != 0 ? out.error() : out.unit(unit);
  }
  return out.result();
}

}  // namespace

Decoded decode_text(TextEncoding encoding, std::span<const std::uint8_t> bytes, TextPart part, OnTextError on_error,
                    DecoderState& state, char16_t* into) {
  Output out(into, on_error);
  if (is_single_byte(encoding)) return decode_single_byte(encoding, bytes, out);
  if (encoding == TextEncoding::x_user_defined) {
    for (const std::uint8_t byte : bytes) out.unit(byte < 0x80 ? byte : static_cast<char16_t>(0xF700 + byte));
    return out.result();
  }
  const bool skips_ascii = is_ascii_compatible(encoding);
  const bool is_utf_16 = encoding == TextEncoding::utf_16le || encoding == TextEncoding::utf_16be;
  for (std::size_t at = 0; at < bytes.size() && !out.failed(); ++at) {
    if (is_utf_16 && state.pending_count == 0) {
      at += decode_utf_16_run(bytes.subspan(at), byte_order(encoding), out);
      if (at == bytes.size()) break;
    }
    if (skips_ascii && state.pending_count == 0 && bytes[at] < 0x80) {
      out.unit(bytes[at]);
    } else {
      decode_byte(encoding, state, bytes[at], out);
    }
  }
  if (part == TextPart::more_follows) return out.result();
  if (encoding == TextEncoding::iso_2022_jp) {
    end_iso_2022_jp(state, out);
  } else if (state.pending_count != 0) {
    out.error();
  }
  return out.result();
}

}  // namespace holdfast::worker
