#include "worker/v8/payloads.h"

#include <fmt/format.h>

#include <cmath>

#include "ipc/base/utf.h"
#include "worker/v8/native_bytes.h"
#include "worker/v8/text.h"

namespace holdfast::worker {
namespace {

constexpr std::size_t kMaxPathBytes = 1024;
constexpr std::size_t kMaxWhatBytes = 128;
constexpr std::size_t kMaxAdviceBytes = 256;
// V8 passes no more (Code::kMaxArguments). A structured array may claim more elements than fit into memory.
constexpr std::uint32_t kMaxArguments = 65534;

ipc::Encoding encoding_for(v8::Local<v8::Value> value, const WantedEncoding& wanted) {
  switch (wanted.result) {
    case ipc::ResultEncoding::json:
      return ipc::Encoding::json;
    case ipc::ResultEncoding::bytes:
      return ipc::Encoding::bytes;
    case ipc::ResultEncoding::structured:
      return ipc::Encoding::structured;
    case ipc::ResultEncoding::automatic:
      break;
  }
  if (value->IsArrayBuffer() || value->IsArrayBufferView()) return ipc::Encoding::bytes;
  return wanted.of_payload == ipc::Encoding::structured ? ipc::Encoding::structured : ipc::Encoding::json;
}

std::span<const std::uint8_t> as_octets(ipc::Bytes bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

std::string describe_not_utf8(std::span<const std::uint8_t> bytes) {
  std::size_t at = 0;
  for (; at < bytes.size(); ++at) {
    const Utf8Sequence sequence = first_utf8_sequence(bytes.subspan(at));
    if (sequence.kind != Utf8Sequence::Kind::complete) break;
    at += sequence.length - 1;
  }
  return at < bytes.size() ? fmt::format("the byte 0x{:02x} at offset {} is not UTF-8", bytes[at], at)
                           : "it is not UTF-8";
}

// Numbers for which JSON has no text: JSON.stringify turns them into another value.
bool is_lossy_number(v8::Local<v8::Value> value) {
  if (value->IsInt32() || !value->IsNumber()) return false;
  const double number = value.As<v8::Number>()->Value();
  return !std::isfinite(number) || (number == 0 && std::signbit(number));
}

}  // namespace

// --- in ------------------------------------------------------------------------------------------------------------

tl::expected<void, std::string> Payloads::read(const ipc::WorkerCall& call,
                                               std::vector<v8::Local<v8::Value>>& arguments) {
  const auto payload = parse(call.payload, call.encoding);
  if (!payload) return tl::unexpected(payload.error());
  if (call.arguments == ipc::ArgumentStyle::single) {
    arguments.push_back(*payload);
    return {};
  }
  const auto no_array = [&] {
    return tl::unexpected(
        fmt::format("the payload of a call with positional arguments must be an array, encoded as {}",
                    call.encoding == ipc::Encoding::bytes ? "json or structured" : to_string(call.encoding)));
  };
  if (!(*payload)->IsArray()) return no_array();
  const auto array = payload->As<v8::Array>();
  if (array->Length() > kMaxArguments) {
    return tl::unexpected(
        fmt::format("the payload has {} positional arguments; at most {} are allowed", array->Length(), kMaxArguments));
  }
  for (std::uint32_t i = 0; i < array->Length(); ++i) {
    v8::Local<v8::Value> argument;
    if (!array->Get(engine_.context(), i).ToLocal(&argument)) return no_array();
    arguments.push_back(argument);
  }
  return {};
}

tl::expected<v8::Local<v8::Value>, std::string> Payloads::parse(ipc::Bytes payload, ipc::Encoding encoding) {
  v8::Isolate* isolate = engine_.isolate();
  v8::Local<v8::Value> value;
  v8::TryCatch failure(isolate);
  if (encoding == ipc::Encoding::bytes) {
    v8::Local<v8::Uint8Array> bytes;
    if (make_uint8_array(isolate, as_octets(payload)).ToLocal(&bytes)) return bytes;
    return tl::unexpected(std::string("the payload does not fit into the module's remaining memory"));
  }
  if (payload.empty()) return v8::Null(isolate).As<v8::Value>();
  if (encoding == ipc::Encoding::structured) {
    if (parse_structured(as_octets(payload)).ToLocal(&value)) return value;
    return tl::unexpected("the payload is not structured" +
                          (failure.HasCaught() ? ": " + describe(failure).first : std::string()));
  }
  v8::Local<v8::String> text;
  const auto octets = as_octets(payload);
  // V8 would replace what is not UTF-8 by U+FFFD.
  const bool has_only_ascii = is_ascii(octets);
  if (!has_only_ascii && !is_valid_utf8(octets))
    return tl::unexpected("the payload is not JSON: " + describe_not_utf8(octets));
  const int length = static_cast<int>(octets.size());
  const auto made =
      has_only_ascii
          ? v8::String::NewFromOneByte(isolate, octets.data(), v8::NewStringType::kNormal, length)
          : v8::String::NewFromUtf8(isolate, ipc::as_text(payload).data(), v8::NewStringType::kNormal, length);
  if (made.ToLocal(&text) && v8::JSON::Parse(engine_.context(), text).ToLocal(&value)) {
    return value;
  }
  return tl::unexpected("the payload is not JSON" +
                        (failure.HasCaught() ? ": " + describe(failure).first : std::string()));
}

v8::MaybeLocal<v8::Value> Payloads::parse_structured(std::span<const std::uint8_t> payload) {
  v8::Local<v8::Context> context = engine_.context();
  v8::Isolate* isolate = engine_.isolate();
  v8::Local<v8::Value> value, details, restored;
  if (!deserialize_value(context, payload, &details).ToLocal(&value)) return {};
  if (details.IsEmpty()) return value;
  if (!call_runtime(engine_.runtime().restore_errors, details).ToLocal(&restored)) return {};
  if (restored->IsTrue()) return value;
  throw_type_error(isolate, "the data behind the value does not describe its errors");
  return {};
}

// --- out -----------------------------------------------------------------------------------------------------------

tl::expected<void, NotExpressed> Payloads::express(v8::Local<v8::Value> value, const WantedEncoding& wanted,
                                                   const Take& take) {
  const ipc::Encoding encoding = encoding_for(value, wanted);
  auto expressed = encoding == ipc::Encoding::json    ? express_json(value, take)
                   : encoding == ipc::Encoding::bytes ? express_bytes(value, take)
                                                      : express_structured(value, take);
  if (!expressed) expressed.error().encoding = encoding;
  return expressed;
}

Payloads::Expressed Payloads::express_json(v8::Local<v8::Value> value, const Take& take) {
  if (value->IsUndefined()) {
    take({ipc::as_bytes("null"), ipc::Encoding::json});
    return {};
  }
  v8::Isolate* isolate = engine_.isolate();
  v8::TryCatch failure(isolate);
  v8::Local<v8::String> json;
  if (!v8::JSON::Stringify(engine_.context(), value).ToLocal(&json)) {
    return tl::unexpected(unserializable(value, failure));
  }
  if (!rules_.lenient_results) {
    NotExpressed lossy;
    if (is_lossy_number(value) || value->IsObject()) {
      if (find(engine_.runtime().find_lossy, value, lossy)) return tl::unexpected(std::move(lossy));
    }
  }
  const auto length = static_cast<std::size_t>(json->Utf8Length(isolate));
  if (length > rules_.max_bytes) return tl::unexpected(NotExpressed{.bytes = length});
  std::string text(length, '\0');
  if (length == static_cast<std::size_t>(json->Length())) {  // ASCII, which needs no encoding
    json->WriteOneByte(isolate, reinterpret_cast<std::uint8_t*>(text.data()), 0, static_cast<int>(length),
                       v8::String::NO_NULL_TERMINATION);
  } else {
    json->WriteUtf8(isolate, text.data(), static_cast<int>(length), nullptr, v8::String::NO_NULL_TERMINATION);
  }
  // For functions, symbols and some results of toJSON, JSON.stringify returns undefined, which V8's API returns as
  // text. No JSON text begins with a bare u.
  if (text == "undefined") return tl::unexpected(unserializable(value, failure));
  take({ipc::as_bytes(text), ipc::Encoding::json});
  return {};
}

Payloads::Expressed Payloads::express_bytes(v8::Local<v8::Value> value, const Take& take) {
  if (value->IsUndefined()) {
    take({{}, ipc::Encoding::bytes});
    return {};
  }
  if (InputBytes::accepts(value)) {
    const InputBytes input(value);
    const auto bytes = std::as_bytes(input.bytes());
    if (bytes.size() > rules_.max_bytes) return tl::unexpected(NotExpressed{.bytes = bytes.size()});
    take({bytes, ipc::Encoding::bytes});
    return {};
  }
  const std::string what = value->IsGeneratorObject() ? "a generator"
                           : value->IsObject()        ? "another object"
                                                      : "a " + to_utf8(value->TypeOf(engine_.isolate()), 32);
  return tl::unexpected(NotExpressed{.path = "$", .what = what, .why = "expected an ArrayBuffer or a view of one"});
}

Payloads::Expressed Payloads::express_structured(v8::Local<v8::Value> value, const Take& take) {
  v8::Local<v8::Context> context = engine_.context();
  v8::Isolate* isolate = engine_.isolate();
  v8::TryCatch failure(isolate);
  const auto serialized = serialize_value(context, value, rules_.max_bytes);
  if (!serialized) {
    auto reason = not_serialized(serialized.error(), failure);
    if (!reason.path.empty()) find(engine_.runtime().check_structured, value, reason);
    return tl::unexpected(std::move(reason));
  }
  bool is_whole = true;
  if (value->IsObject()) {
    v8::Local<v8::Value> checked;
    NotExpressed lossy;
    if (!call_runtime(engine_.runtime().check_structured, value).ToLocal(&checked)) failure.Reset();
    if (!checked.IsEmpty() && take_finding(checked, lossy)) return tl::unexpected(std::move(lossy));
    is_whole = checked.IsEmpty() || !checked->IsTrue();
  }
  if (!is_whole) return express_with_details(value, take);
  take({std::as_bytes(serialized->bytes()), ipc::Encoding::structured});
  return {};
}

Payloads::Expressed Payloads::express_with_details(v8::Local<v8::Value> value, const Take& take) {
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(engine_.isolate());
  v8::Local<v8::Value> parts, plain, details;
  if (!call_runtime(engine_.runtime().split_structured, value).ToLocal(&parts) ||
      !parts.As<v8::Array>()->Get(context, 0).ToLocal(&plain) ||
      !parts.As<v8::Array>()->Get(context, 1).ToLocal(&details)) {
    return tl::unexpected(not_serialized(SerializeFailure::threw, failure));
  }
  const auto serialized = serialize_value(context, plain, rules_.max_bytes, details);
  if (!serialized) return tl::unexpected(not_serialized(serialized.error(), failure));
  take({std::as_bytes(serialized->bytes()), ipc::Encoding::structured});
  return {};
}

NotExpressed Payloads::not_serialized(SerializeFailure why, v8::TryCatch& failure) {
  if (why == SerializeFailure::too_large) return {.bytes = rules_.max_bytes + 1};
  NotExpressed reason{.path = "$", .what = "or contains something that cannot be cloned"};
  std::tie(reason.why, reason.stack) = describe(failure);
  return reason;
}

NotExpressed Payloads::unserializable(v8::Local<v8::Value> value, v8::TryCatch& failure) {
  NotExpressed found{.path = "$"};
  // Replaced below if something inside is found.
  found.what =
      value->IsFunction() || !value->IsObject() ? "a " + to_utf8(value->TypeOf(engine_.isolate()), 32) : "an object";
  if (failure.HasCaught()) {
    std::tie(found.why, found.stack) = describe(failure);
    find(engine_.runtime().find_unserializable, value, found);
    failure.Reset();
  }
  return found;
}

// Clears the exception first. One that C++ has thrown again (v8::TryCatch::ReThrow) would otherwise be thrown once
// more in the JavaScript that describes it.
std::pair<std::string, std::string> Payloads::describe(v8::TryCatch& failure) {
  v8::Local<v8::Value> thrown = failure.Exception();
  failure.Reset();
  return describe_(thrown);
}

bool Payloads::find(const v8::Global<v8::Function>& finder, v8::Local<v8::Value> value, NotExpressed& found) {
  v8::Local<v8::Value> place;
  return call_runtime(finder, value).ToLocal(&place) && take_finding(place, found);
}

bool Payloads::take_finding(v8::Local<v8::Value> place, NotExpressed& found) {
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::Value> part;
  if (!place->IsArray()) return false;
  const auto parts = place.As<v8::Array>();
  if (parts->Get(context, 0).ToLocal(&part)) found.path = to_utf8(part, kMaxPathBytes);
  if (parts->Get(context, 1).ToLocal(&part)) found.what = to_utf8(part, kMaxWhatBytes);
  // Beyond the array's end, the module may have put anything on the prototype.
  if (parts->Length() > 2 && parts->Get(context, 2).ToLocal(&part) && part->IsString()) {
    found.why = to_utf8(part, kMaxAdviceBytes);
  }
  return true;
}

v8::MaybeLocal<v8::Value> Payloads::call_runtime(const v8::Global<v8::Function>& function, v8::Local<v8::Value> value) {
  v8::Isolate* isolate = engine_.isolate();
  return function.Get(isolate)->Call(engine_.context(), v8::Undefined(isolate), 1, &value);
}

std::string Payloads::to_utf8(v8::Local<v8::Value> value, std::size_t max_bytes) {
  return worker::to_utf8(engine_.isolate(), value, max_bytes);
}

}  // namespace holdfast::worker
