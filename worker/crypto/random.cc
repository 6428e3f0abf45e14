// fillRandom(view) -> undefined or a reason, randomBytes(count) -> ArrayBuffer or a reason, randomUuid() -> string.
//
// libcrypto's generators take a new seed from the kernel (getrandom(2)) at their first use in each process. They tell
// processes apart by pid, and a worker's pid differs from the zygote's, which lives as long as its workers.
#include <openssl/rand.h>

#include <string>

#include "worker/crypto/native.h"

namespace holdfast::worker::crypto {
namespace {

constexpr std::string_view kNoRandomness = "the random number generator failed";

bool fill(std::uint8_t* data, std::size_t size) { return RAND_bytes_ex(nullptr, data, size, 0) == 1; }

void fill_random(const Arguments& arguments) {
  const auto view = arguments[0].As<v8::ArrayBufferView>();
  const std::size_t size = view->ByteLength();
  if (size == 0) return;
  auto* data = static_cast<std::uint8_t*>(view->Buffer()->Data());
  if (!fill(data + view->ByteOffset(), size)) return_failure(arguments, kNoRandomness);
}

void random_bytes(const Arguments& arguments) {
  Output output(arguments, uint32_at(arguments, 0));
  if (!output) return;
  if (RAND_priv_bytes_ex(nullptr, output.data(), output.size(), 0) != 1) {
    return return_failure(arguments, kNoRandomness);
  }
  arguments.GetReturnValue().Set(output.buffer());
}

// RFC 9562, 5.4.
void random_uuid(const Arguments& arguments) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<std::uint8_t, 16> bytes;
  if (!fill(bytes.data(), bytes.size())) {
    v8::Isolate* isolate = arguments.GetIsolate();
    isolate->ThrowException(v8::Exception::Error(
        v8::String::NewFromOneByte(isolate, reinterpret_cast<const std::uint8_t*>(kNoRandomness.data()),
                                   v8::NewStringType::kNormal, static_cast<int>(kNoRandomness.size()))
            .ToLocalChecked()));
    return;
  }
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);
  std::array<char, 36> text;
  std::size_t at = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text[at++] = '-';
    text[at++] = kDigits[bytes[i] >> 4];
    text[at++] = kDigits[bytes[i] & 15];
  }
  return_text(arguments, {text.data(), text.size()});
}

constexpr NativeFunction kRandomFunctions[] = {
    {"fillRandom", fill_random},
    {"randomBytes", random_bytes},
    {"randomUuid", random_uuid},
};

}  // namespace

std::span<const NativeFunction> random_functions() { return kRandomFunctions; }

}  // namespace holdfast::worker::crypto
