#include "worker/v8/native_encoding.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "ipc/base/base64.h"
#include "ipc/base/utf.h"
#include "worker/plain/text_encodings.h"
#include "worker/v8/native_bytes.h"

namespace holdfast::worker {
namespace {

using Arguments = v8::FunctionCallbackInfo<v8::Value>;
using Bytes = std::span<const std::uint8_t>;

// The memory of the Uint32Array decoderState: what is kept between two parts of a stream.
std::uint32_t* state_cells = nullptr;

DecoderState load_state() {
  DecoderState state;
  std::memcpy(state.pending.data(), &state_cells[0], 4);
  state.pending_count = static_cast<std::uint8_t>(state_cells[1]);
  state.mode = static_cast<std::uint8_t>(state_cells[2]);
  state.flag = (state_cells[3] & 1) != 0;
  state.begun = (state_cells[3] & 2) != 0;
  return state;
}

void store_state(const DecoderState& state) {
  std::memcpy(&state_cells[0], state.pending.data(), 4);
  state_cells[1] = state.pending_count;
  state_cells[2] = state.mode;
  state_cells[3] = (state.flag ? 1U : 0U) | (state.begun ? 2U : 0U);
}

// V8 cannot have a longer string. Some of its functions throw for one, others return nothing.
bool can_be_a_string(v8::Isolate* isolate, std::size_t units) {
  if (units <= static_cast<std::size_t>(v8::String::kMaxLength)) return true;
  throw_range_error(isolate, "Invalid string length");
  return false;
}

v8::MaybeLocal<v8::String> latin1_string(v8::Isolate* isolate, Bytes bytes) {
  if (!can_be_a_string(isolate, bytes.size())) return {};
  return v8::String::NewFromOneByte(isolate, bytes.data(), v8::NewStringType::kNormal, static_cast<int>(bytes.size()));
}

v8::MaybeLocal<v8::String> utf16_string(v8::Isolate* isolate, std::span<char16_t> units) {
  if (!can_be_a_string(isolate, units.size())) return {};
  char16_t seen = 0;
  for (const char16_t unit : units) seen |= unit;
  if (seen < 0x100) {
    // A Latin-1 string takes half the memory and compares fastest. Each byte is written where units have been read
    // already.
    const auto narrow = reinterpret_cast<std::uint8_t*>(units.data());
    for (std::size_t at = 0; at < units.size(); ++at) narrow[at] = static_cast<std::uint8_t>(units[at]);
    return latin1_string(isolate, {narrow, units.size()});
  }
  return v8::String::NewFromTwoByte(isolate, reinterpret_cast<const std::uint16_t*>(units.data()),
                                    v8::NewStringType::kNormal, static_cast<int>(units.size()));
}

// --- decoding ------------------------------------------------------------------------------------------------------

struct DecoderOptions {
  TextEncoding encoding;
  OnTextError on_error;
  bool ignores_mark;
  TextPart part;
};

void throw_invalid_data(v8::Isolate* isolate) {
  throw_type_error(isolate, "The encoded data was not valid for the encoding");
}

// Decodes the bytes pending since the last part, together with the new ones that belong to them. Returns false if
// there is an error, and errors are fatal.
bool finish_pending_utf8(const DecoderOptions& options, Bytes& bytes, DecoderState& state, std::u16string& out) {
  while (state.pending_count != 0) {
    std::array<std::uint8_t, 8> joined{};
    const std::size_t pending = state.pending_count, added = std::min<std::size_t>(bytes.size(), 4);
    std::copy_n(state.pending.begin(), pending, joined.begin());
    std::copy_n(bytes.begin(), added, joined.begin() + static_cast<std::ptrdiff_t>(pending));
    const Utf8Sequence sequence = first_utf8_sequence(Bytes(joined).first(pending + added));
    if (sequence.kind == Utf8Sequence::Kind::incomplete && options.part == TextPart::more_follows) {
      std::copy_n(joined.begin(), sequence.length, state.pending.begin());
      state.pending_count = static_cast<std::uint8_t>(sequence.length);
      bytes = {};
      return true;
    }
    bytes = bytes.subspan(sequence.length - pending);
    state.pending_count = 0;
    if (sequence.kind != Utf8Sequence::Kind::complete) {
      if (options.on_error == OnTextError::stop) return false;
      out += kReplacementCharacter;
    } else if (sequence.code_point >= 0x10000) {
      out += static_cast<char16_t>(0xD7C0 + (sequence.code_point >> 10));
      out += static_cast<char16_t>(0xDC00 | (sequence.code_point & 0x3FF));
    } else if (sequence.code_point != 0xFEFF || state.begun || options.ignores_mark) {
      out += static_cast<char16_t>(sequence.code_point);
    }
    state.begun = true;
  }
  return true;
}

// Texts up to this size are decoded here, into memory of twice the size. V8 decodes larger ones, at half the speed.
constexpr std::size_t kMostDecodedHere = std::size_t{4} << 20;

v8::MaybeLocal<v8::String> utf8_string(v8::Isolate* isolate, Bytes bytes, OnTextError on_error) {
  if (!can_be_a_string(isolate, bytes.size())) return {};
  if (is_ascii(bytes)) return latin1_string(isolate, bytes);
  if (bytes.size() <= kMostDecodedHere) {
    const BufferMemory memory(isolate, bytes.size() * sizeof(char16_t));
    if (!memory) return {};
    const auto units = reinterpret_cast<char16_t*>(memory.data());
    const auto [count, is_valid] = decode_utf8(bytes, on_error, units);
    if (is_valid || on_error == OnTextError::replace) return utf16_string(isolate, {units, count});
  } else if (on_error == OnTextError::replace || is_valid_utf8(bytes)) {
    return v8::String::NewFromUtf8(isolate, reinterpret_cast<const char*>(bytes.data()), v8::NewStringType::kNormal,
                                   static_cast<int>(bytes.size()));
  }
  throw_invalid_data(isolate);
  return {};
}

v8::MaybeLocal<v8::String> decode_utf8_part(v8::Isolate* isolate, const DecoderOptions& options, Bytes bytes,
                                            DecoderState& state) {
  constexpr std::uint8_t kMark[] = {0xEF, 0xBB, 0xBF};
  std::u16string first;
  if (!finish_pending_utf8(options, bytes, state, first)) {
    throw_invalid_data(isolate);
    return {};
  }
  if (options.part == TextPart::more_follows) {
    const Bytes tail = bytes.last(incomplete_utf8_tail(bytes));
    if (!tail.empty()) {
      std::copy(tail.begin(), tail.end(), state.pending.begin());
      state.pending_count = static_cast<std::uint8_t>(tail.size());
      bytes = bytes.first(bytes.size() - tail.size());
    }
  }
  if (!bytes.empty() && !state.begun) {
    state.begun = true;
    if (!options.ignores_mark && bytes.size() >= 3 && std::equal(kMark, kMark + 3, bytes.begin())) {
      bytes = bytes.subspan(3);
    }
  }
  const v8::MaybeLocal<v8::String> rest = utf8_string(isolate, bytes, options.on_error);
  v8::Local<v8::String> begun, ended;
  if (first.empty() || !rest.ToLocal(&ended)) return rest;
  if (!utf16_string(isolate, first).ToLocal(&begun)) return {};
  return v8::String::Concat(isolate, begun, ended);
}

bool has_latin1_form(const DecoderOptions& options, Bytes bytes, const DecoderState& state) {
  if (!is_ascii_compatible(options.encoding) || state.pending_count != 0) return false;
  return options.encoding == TextEncoding::windows_1252 ? has_no_c1_controls(bytes) : is_ascii(bytes);
}

v8::MaybeLocal<v8::String> decode_other(v8::Isolate* isolate, const DecoderOptions& options, Bytes bytes,
                                        DecoderState& state) {
  if (has_latin1_form(options, bytes, state)) return latin1_string(isolate, bytes);
  const BufferMemory memory(isolate, most_units(bytes.size()) * sizeof(char16_t));
  if (!memory) return {};
  const auto units = reinterpret_cast<char16_t*>(memory.data());
  const auto [count, failed] = decode_text(options.encoding, bytes, options.part, options.on_error, state, units);
  if (failed) {
    throw_invalid_data(isolate);
    return {};
  }
  std::span<char16_t> decoded(units, count);
  // Besides UTF-8, only these two have a byte order mark.
  const bool has_mark = options.encoding == TextEncoding::utf_16le || options.encoding == TextEncoding::utf_16be;
  if (!decoded.empty() && !state.begun) {
    state.begun = true;
    if (has_mark && !options.ignores_mark && decoded.front() == 0xFEFF) decoded = decoded.subspan(1);
  }
  return utf16_string(isolate, decoded);
}

void decode_part(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  const DecoderOptions options{.encoding = static_cast<TextEncoding>(arguments[0].As<v8::Int32>()->Value()),
                               .on_error = arguments[1]->IsTrue() ? OnTextError::stop : OnTextError::replace,
                               .ignores_mark = arguments[2]->IsTrue(),
                               .part = arguments[3]->IsTrue() ? TextPart::more_follows : TextPart::last};
  if (!InputBytes::accepts(arguments[4])) {
    return throw_type_error(isolate, "TextDecoder.decode: the input must be an ArrayBuffer or a view of one");
  }
  const InputBytes input(arguments[4]);
  DecoderState state = load_state();
  v8::Local<v8::String> text;
  const auto decode = options.encoding == TextEncoding::utf_8 ? decode_utf8_part : decode_other;
  if (!decode(isolate, options, input.bytes(), state).ToLocal(&text)) return;
  store_state(state);
  arguments.GetReturnValue().Set(text);
}

// --- encoding ------------------------------------------------------------------------------------------------------

// How many characters are taken out of a string at a time.
constexpr int kPart = 4096;

// Calls use(units, part) with one part of the string after another. `use` returns how many units it read. Ends
// when it read fewer than it was given, except for a lead surrogate at the end of the part.
template <typename Use>
void for_each_part(v8::Isolate* isolate, v8::Local<v8::String> text, Use use) {
  std::array<char16_t, kPart> units;
  const int length = text->Length();
  for (int at = 0; at < length;) {
    const int count = std::min(kPart, length - at);
    text->Write(isolate, reinterpret_cast<std::uint16_t*>(units.data()), at, count, v8::String::NO_NULL_TERMINATION);
    const auto size = static_cast<std::size_t>(count);
    const std::size_t read = use(std::span<const char16_t>(units.data(), size),
                                 at + count == length ? TextPart::last : TextPart::more_follows);
    at += static_cast<int>(read);
    if (read + 1 < size || read == 0) return;
    if (read < size && (units[size - 1] & 0xFC00) != 0xD800) return;
  }
}

v8::MaybeLocal<v8::Uint8Array> encode_one_byte(v8::Isolate* isolate, v8::Local<v8::String> text) {
  const auto length = static_cast<std::size_t>(text->Length());
  BufferMemory latin1(isolate, length);
  if (!latin1) return {};
  text->WriteOneByte(isolate, latin1.data(), 0, text->Length(), v8::String::NO_NULL_TERMINATION);
  const Bytes units(latin1.data(), length);
  if (is_ascii(units)) return v8::Uint8Array::New(latin1.release(), 0, length);
  std::size_t size = 0;
  for (const std::uint8_t unit : units) size += 1 + (unit >> 7);
  BufferMemory encoded(isolate, size);
  if (!encoded) return {};
  encode_latin1_as_utf8(units, {encoded.data(), size});
  return v8::Uint8Array::New(encoded.release(), 0, size);
}

v8::MaybeLocal<v8::Uint8Array> encode_two_byte(v8::Isolate* isolate, v8::Local<v8::String> text) {
  std::size_t size = 0;
  for_each_part(isolate, text, [&](std::span<const char16_t> units, TextPart part) {
    // A pair that is split between two parts is counted with the second.
    if (part == TextPart::more_follows && (units.back() & 0xFC00) == 0xD800) units = units.first(units.size() - 1);
    size += utf8_length(units);
    return units.size();
  });
  BufferMemory encoded(isolate, size);
  if (!encoded) return {};
  std::size_t at = 0;
  for_each_part(isolate, text, [&](std::span<const char16_t> units, TextPart part) {
    const EncodedUtf8 done = encode_utf8(units, {encoded.data() + at, size - at}, part);
    at += done.bytes_written;
    return done.units_read;
  });
  return v8::Uint8Array::New(encoded.release(), 0, size);
}

void encode_text(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  const auto text = arguments[0].As<v8::String>();
  v8::Local<v8::Uint8Array> encoded;
  if ((text->IsOneByte() ? encode_one_byte : encode_two_byte)(isolate, text).ToLocal(&encoded)) {
    arguments.GetReturnValue().Set(encoded);
  }
}

void tell_well_formed(const Arguments& arguments) {
  const auto text = arguments[0].As<v8::String>();
  bool is_well_formed = true;
  if (!text->IsOneByte()) {
    for_each_part(arguments.GetIsolate(), text, [&](std::span<const char16_t> units, TextPart part) {
      const std::size_t whole = well_formed_prefix(units);
      const bool ends_in_lead = whole + 1 == units.size() && (units.back() & 0xFC00) == 0xD800;
      is_well_formed = whole == units.size() || (ends_in_lead && part == TextPart::more_follows);
      return is_well_formed ? whole : 0;
    });
  }
  arguments.GetReturnValue().Set(is_well_formed);
}

// The size fits into an int, because strings are short enough.
void count_utf8_bytes(const Arguments& arguments) {
  arguments.GetReturnValue().Set(arguments[0].As<v8::String>()->Utf8Length(arguments.GetIsolate()));
}

// An ASCII part is copied as it is, which takes a tenth of the time.
EncodedUtf8 encode_one_byte_into(v8::Isolate* isolate, v8::Local<v8::String> text, std::span<std::uint8_t> into) {
  std::array<std::uint8_t, kPart> units;
  EncodedUtf8 all{};
  const int length = text->Length();
  for (int at = 0; at < length;) {
    const int count = std::min(kPart, length - at);
    text->WriteOneByte(isolate, units.data(), at, count, v8::String::NO_NULL_TERMINATION);
    const Bytes part = Bytes(units).first(static_cast<std::size_t>(count));
    const std::span<std::uint8_t> room = into.subspan(all.bytes_written);
    EncodedUtf8 encoded{};
    if (is_ascii(part)) {
      encoded.units_read = encoded.bytes_written = std::min(part.size(), room.size());
      std::copy_n(part.begin(), encoded.units_read, room.begin());
    } else {
      encoded = encode_latin1_as_utf8(part, room);
    }
    all.units_read += encoded.units_read;
    all.bytes_written += encoded.bytes_written;
    if (encoded.units_read < part.size()) break;
    at += count;
  }
  return all;
}

EncodedUtf8 encode_two_byte_into(v8::Isolate* isolate, v8::Local<v8::String> text, std::span<std::uint8_t> into) {
  EncodedUtf8 all{};
  for_each_part(isolate, text, [&](std::span<const char16_t> units, TextPart part) {
    const EncodedUtf8 done = encode_utf8(units, into.subspan(all.bytes_written), part);
    all.units_read += done.units_read;
    all.bytes_written += done.bytes_written;
    return done.units_read;
  });
  return all;
}

void encode_text_into(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  const auto text = arguments[0].As<v8::String>();
  const auto array = arguments[1].As<v8::Uint8Array>();
  const auto store = array->Buffer()->GetBackingStore();
  std::span<std::uint8_t> into;
  if (array->ByteLength() != 0) {
    into = {static_cast<std::uint8_t*>(store->Data()) + array->ByteOffset(), array->ByteLength()};
  }
  const EncodedUtf8 all = (text->IsOneByte() ? encode_one_byte_into : encode_two_byte_into)(isolate, text, into);
  // Both numbers fit, because strings are short enough.
  state_cells[0] = static_cast<std::uint32_t>(all.units_read);
  state_cells[1] = static_cast<std::uint32_t>(all.bytes_written);
}

// --- Base64 --------------------------------------------------------------------------------------------------------

void atob(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  const auto text = arguments[0].As<v8::String>();
  if (!text->ContainsOnlyOneByte()) return;
  BufferMemory characters(isolate, static_cast<std::size_t>(text->Length()));
  if (!characters) return;
  text->WriteOneByte(isolate, characters.data(), 0, text->Length(), v8::String::NO_NULL_TERMINATION);
  const auto size = decode_base64_in_place({characters.data(), characters.size()});
  v8::Local<v8::String> decoded;
  if (size && latin1_string(isolate, {characters.data(), *size}).ToLocal(&decoded)) {
    arguments.GetReturnValue().Set(decoded);
  }
}

void btoa(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  const auto text = arguments[0].As<v8::String>();
  if (!text->ContainsOnlyOneByte()) return;
  const auto length = static_cast<std::size_t>(text->Length());
  const std::size_t size = base64_length(length);
  if (!can_be_a_string(isolate, size)) return;
  const BufferMemory bytes(isolate, length), encoded(isolate, size);
  if (!bytes || !encoded) return;
  text->WriteOneByte(isolate, bytes.data(), 0, text->Length(), v8::String::NO_NULL_TERMINATION);
  encode_base64({bytes.data(), length}, encoded.data());
  v8::Local<v8::String> result;
  if (latin1_string(isolate, {encoded.data(), size}).ToLocal(&result)) arguments.GetReturnValue().Set(result);
}

}  // namespace

void install_encoding_functions(v8::Local<v8::Context> context, v8::Local<v8::Object> host) {
  v8::Isolate* isolate = context->GetIsolate();
  // There is one per process, like the engine, so the memory stays where it is.
  static v8::Global<v8::ArrayBuffer> cells;
  constexpr std::size_t kCells = 4;
  v8::Local<v8::ArrayBuffer> buffer = v8::ArrayBuffer::New(isolate, kCells * sizeof(std::uint32_t));
  cells.Reset(isolate, buffer);
  state_cells = static_cast<std::uint32_t*>(buffer->GetBackingStore()->Data());
  host->Set(context, v8::String::NewFromUtf8Literal(isolate, "decoderState"), v8::Uint32Array::New(buffer, 0, kCells))
      .Check();
  install_native(context, host, "decodeText", decode_part);
  install_native(context, host, "encodeText", encode_text);
  install_native(context, host, "encodeTextInto", encode_text_into);
  install_native(context, host, "utf8Length", count_utf8_bytes);
  install_native(context, host, "isWellFormed", tell_well_formed);
  install_native(context, host, "decodeBase64", atob);
  install_native(context, host, "encodeBase64", btoa);
}

}  // namespace holdfast::worker
