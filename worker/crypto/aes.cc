// Each of these functions returns an ArrayBuffer or a reason; `encrypt` is a boolean. The key has 16, 24 or 32 bytes.
// aesCbc(encrypt, key, iv, data), aesCtr(key, counter, counterBits, data),
// aesGcm(encrypt, key, iv, additionalData, tagBytes, data), aesKeyWrap(wrap, key, data).
#include <algorithm>
#include <cstring>
#include <optional>

#include "worker/crypto/library.h"

namespace holdfast::worker::crypto {
namespace {

constexpr std::size_t kBlock = 16;
constexpr std::string_view kEncryptFailed = "the data could not be encrypted";
constexpr std::string_view kDecryptFailed = "the data could not be decrypted";

// libcrypto counts bytes in ints. This is a multiple of the block's size.
constexpr std::size_t kChunk = std::size_t{1} << 30;

// Processes all of `data`, piece by piece. `into` is null for data that is only authenticated. Adds to `written`.
bool update(EVP_CIPHER_CTX* context, std::uint8_t* into, ConstBytes data, std::size_t& written) {
  while (!data.empty()) {
    const ConstBytes piece = data.first(std::min(data.size(), kChunk));
    int count = 0;
    if (EVP_CipherUpdate(context, into == nullptr ? nullptr : into + written, &count, piece.data(),
                         static_cast<int>(piece.size())) != 1) {
      return false;
    }
    written += static_cast<std::size_t>(count);
    data = data.subspan(piece.size());
  }
  return true;
}

enum class Direction { encrypt, decrypt };

bool begin(EVP_CIPHER_CTX* context, CipherMode mode, const Input& key, const std::uint8_t* iv, Direction direction) {
  return context != nullptr && EVP_CipherInit_ex2(context, aes(mode, key.size()), key.data(), iv,
                                                  direction == Direction::encrypt ? 1 : 0, nullptr) == 1;
}

// How many bytes the last block of a decryption has besides its padding; nothing if the padding is wrong.
std::optional<std::size_t> last_block_size(const Input& key, ConstBytes iv, ConstBytes data) {
  const ConstBytes block = data.last(kBlock);
  const ConstBytes before = data.size() == kBlock ? iv : data.subspan(data.size() - 2 * kBlock, kBlock);
  const CipherContext context(EVP_CIPHER_CTX_new());
  std::array<std::uint8_t, 2 * kBlock> plain;
  std::size_t written = 0;
  int rest = 0;
  if (!begin(context.get(), CipherMode::cbc, key, before.data(), Direction::decrypt) ||
      !update(context.get(), plain.data(), block, written) ||
      EVP_CipherFinal_ex(context.get(), plain.data() + written, &rest) != 1) {
    return std::nullopt;
  }
  return written + static_cast<std::size_t>(rest);
}

void aes_cbc(const Arguments& arguments) {
  const bool encrypt = arguments[0]->IsTrue();
  const Input key(arguments[1]), iv(arguments[2]), data(arguments[3]);
  std::size_t size = (data.size() / kBlock + 1) * kBlock;
  if (!encrypt) {
    if (data.size() == 0 || data.size() % kBlock != 0) {
      return return_failure(arguments, "AES-CBC: the data to decrypt must have a multiple of 16 bytes, at least 16");
    }
    const auto last = last_block_size(key, iv.bytes(), data.bytes());
    if (!last) return return_failure(arguments, kDecryptFailed);
    size = data.size() - kBlock + *last;
  }
  Output output(arguments, size);
  if (!output) return;
  const CipherContext context(EVP_CIPHER_CTX_new());
  std::size_t written = 0;
  int rest = 0;
  // Of the last block, libcrypto writes only what is not padding: `output` has room for that.
  if (!begin(context.get(), CipherMode::cbc, key, iv.data(), encrypt ? Direction::encrypt : Direction::decrypt) ||
      !update(context.get(), output.data(), data.bytes(), written) ||
      EVP_CipherFinal_ex(context.get(), output.data() + written, &rest) != 1) {
    return return_failure(arguments, encrypt ? kEncryptFailed : kDecryptFailed);
  }
  arguments.GetReturnValue().Set(output.buffer());
}

// The number of blocks until the last `bits` of the counter are all 0 again, or a number larger than any data has.
std::uint64_t blocks_until_wrap(const std::array<std::uint8_t, kBlock>& counter, std::uint32_t bits) {
  constexpr std::uint32_t kEnough = 60;
  for (std::uint32_t bit = kEnough; bit < bits; ++bit) {
    if ((counter[kBlock - 1 - bit / 8] >> (bit % 8) & 1) == 0) return UINT64_MAX;
  }
  std::uint64_t value = 0;
  for (std::size_t i = kBlock - 8; i < kBlock; ++i) value = value << 8 | counter[i];
  const std::uint64_t modulus = std::uint64_t{1} << std::min(bits, kEnough);
  return modulus - (value & (modulus - 1));
}

void clear_low_bits(std::array<std::uint8_t, kBlock>& counter, std::uint32_t bits) {
  for (std::uint32_t bit = 0; bit < bits; ++bit) {
    counter[kBlock - 1 - bit / 8] &= static_cast<std::uint8_t>(~(1U << (bit % 8)));
  }
}

// libcrypto counts with all 128 bits. The standard leaves those above `counterBits` unchanged, so data is processed
// in two parts if the counter wraps around.
void aes_ctr(const Arguments& arguments) {
  const Input key(arguments[0]), counter_bytes(arguments[1]), data(arguments[3]);
  const std::uint32_t bits = uint32_at(arguments, 2);
  std::array<std::uint8_t, kBlock> counter;
  std::memcpy(counter.data(), counter_bytes.data(), kBlock);
  const std::uint64_t blocks = (data.size() + kBlock - 1) / kBlock;
  if (bits < 60 && blocks > std::uint64_t{1} << bits) {
    return return_failure(arguments, "the data has more blocks than the counter has values");
  }
  Output output(arguments, data.size());
  if (!output) return;
  const std::uint64_t first_blocks = blocks_until_wrap(counter, bits);
  const std::size_t first = first_blocks >= blocks ? data.size() : static_cast<std::size_t>(first_blocks) * kBlock;
  const auto run = [&](ConstBytes part, std::size_t at) {
    const CipherContext context(EVP_CIPHER_CTX_new());
    std::size_t written = 0;
    return begin(context.get(), CipherMode::ctr, key, counter.data(), Direction::encrypt) &&
           update(context.get(), output.data() + at, part, written);
  };
  bool done = run(data.bytes().first(first), 0);
  if (done && first < data.size()) {
    clear_low_bits(counter, bits);
    done = run(data.bytes().subspan(first), first);
  }
  if (!done) return return_failure(arguments, kEncryptFailed);
  arguments.GetReturnValue().Set(output.buffer());
}

void aes_gcm(const Arguments& arguments) {
  const bool encrypt = arguments[0]->IsTrue();
  const Input key(arguments[1]), iv(arguments[2]), additional(arguments[3]), data(arguments[5]);
  const std::size_t tag_bytes = uint32_at(arguments, 4);
  if (iv.size() == 0 || iv.size() > kChunk) return return_failure(arguments, "the iv must have from 1 byte to 1 GB");
  if (!encrypt && data.size() < tag_bytes) return return_failure(arguments, "the data is shorter than its tag");
  const ConstBytes text = encrypt ? data.bytes() : data.bytes().first(data.size() - tag_bytes);
  Output output(arguments, encrypt ? data.size() + tag_bytes : text.size());
  if (!output) return;
  const CipherContext context(EVP_CIPHER_CTX_new());
  const auto fail = [&] {
    // Data that was not authenticated must not be seen.
    if (output.size() != 0) std::memset(output.data(), 0, output.size());
    return_failure(arguments, encrypt ? kEncryptFailed : kDecryptFailed);
  };
  std::size_t written = 0, authenticated = 0;
  int rest = 0;
  if (context == nullptr ||
      EVP_CipherInit_ex2(context.get(), aes(CipherMode::gcm, key.size()), nullptr, nullptr, encrypt, nullptr) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN, static_cast<int>(iv.size()), nullptr) != 1 ||
      EVP_CipherInit_ex2(context.get(), nullptr, key.data(), iv.data(), encrypt, nullptr) != 1 ||
      !update(context.get(), nullptr, additional.bytes(), authenticated) ||
      !update(context.get(), output.data(), text, written)) {
    return fail();
  }
  const int tag_size = static_cast<int>(tag_bytes);
  std::array<std::uint8_t, kBlock> tag;
  if (!encrypt) {
    std::memcpy(tag.data(), data.data() + text.size(), tag_bytes);
    if (EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_size, tag.data()) != 1) return fail();
  }
  std::array<std::uint8_t, kBlock> none;
  if (EVP_CipherFinal_ex(context.get(), none.data(), &rest) != 1) return fail();
  if (encrypt) {
    if (EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, tag_size, tag.data()) != 1) return fail();
    std::memcpy(output.data() + text.size(), tag.data(), tag_bytes);
  }
  arguments.GetReturnValue().Set(output.buffer());
}

// RFC 3394.
void aes_key_wrap(const Arguments& arguments) {
  constexpr std::size_t kHalfBlock = 8;
  const bool wrap = arguments[0]->IsTrue();
  const Input key(arguments[1]), data(arguments[2]);
  if (data.size() % kHalfBlock != 0 || data.size() < (wrap ? 2 : 3) * kHalfBlock || data.size() > kChunk) {
    return return_failure(arguments, wrap ? "AES-KW: the key to wrap must have a multiple of 8 bytes, at least 16"
                                          : "AES-KW: the wrapped key must have a multiple of 8 bytes, at least 24");
  }
  Output output(arguments, wrap ? data.size() + kHalfBlock : data.size() - kHalfBlock);
  if (!output) return;
  const CipherContext context(EVP_CIPHER_CTX_new());
  if (context == nullptr) return return_failure(arguments, kEncryptFailed);
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  int written = 0;
  if (!begin(context.get(), CipherMode::wrap, key, nullptr, wrap ? Direction::encrypt : Direction::decrypt) ||
      EVP_CipherUpdate(context.get(), output.data(), &written, data.data(), static_cast<int>(data.size())) != 1 ||
      static_cast<std::size_t>(written) != output.size()) {
    return return_failure(arguments, wrap ? kEncryptFailed : kDecryptFailed);
  }
  arguments.GetReturnValue().Set(output.buffer());
}

constexpr NativeFunction kAesFunctions[] = {
    {"aesCbc", aes_cbc}, {"aesCtr", aes_ctr}, {"aesGcm", aes_gcm}, {"aesKeyWrap", aes_key_wrap}};

}  // namespace

std::span<const NativeFunction> aes_functions() { return kAesFunctions; }

}  // namespace holdfast::worker::crypto
