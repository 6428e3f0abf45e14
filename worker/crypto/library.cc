#include "worker/crypto/library.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <string>

#include "worker/plain/broken.h"

namespace holdfast::worker::crypto {
namespace {

constexpr std::array<const char*, kDigests> kDigestNames = {"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"};
constexpr std::array<std::size_t, kDigests> kDigestSizes = {20, 32, 48, 64};

constexpr std::size_t kKeySizes = 3;
constexpr std::array<std::array<const char*, kKeySizes>, kCipherModes> kCipherNames = {{
    {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"},
    {"AES-128-CTR", "AES-192-CTR", "AES-256-CTR"},
    {"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"},
    {"AES-128-WRAP", "AES-192-WRAP", "AES-256-WRAP"},
}};

// Lives as long as the process.
struct Library {
  std::array<EVP_MD*, kDigests> digests{};
  std::array<std::array<EVP_CIPHER*, kKeySizes>, kCipherModes> ciphers{};
  std::array<EVP_MAC_CTX*, kDigests> hmacs{};
  EVP_KDF* hkdf = nullptr;
  EVP_KDF* pbkdf2 = nullptr;
};
Library library;

template <typename T>
T* needed(T* pointer, const char* name) {
  if (pointer == nullptr) broken("libcrypto has " + std::string(name));
  return pointer;
}

// Uses what modules commonly use, so that all workers share what libcrypto makes at its first use. Its random
// generators still take a seed of their own in each worker.
void warm_up_library() {
  std::array<std::uint8_t, kMaxDigestBytes> result{};
  std::size_t size = 0;
  const bool done =
      EVP_Digest(result.data(), result.size(), result.data(), nullptr, digest_of(Digest::sha256), nullptr) == 1 &&
      EVP_MAC_init(hmac_with(Digest::sha256), result.data(), result.size(), nullptr) == 1 &&
      EVP_MAC_update(hmac_with(Digest::sha256), result.data(), result.size()) == 1 &&
      EVP_MAC_final(hmac_with(Digest::sha256), result.data(), &size, result.size()) == 1 &&
      RAND_bytes_ex(nullptr, result.data(), result.size(), 0) == 1 &&
      RAND_priv_bytes_ex(nullptr, result.data(), result.size(), 0) == 1;
  needed(done ? &library : nullptr, "random numbers");
}

}  // namespace

void set_up_library() {
  needed(OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, nullptr) == 1 ? &library : nullptr,
         "initialisation");
  EVP_MAC* hmac = needed(EVP_MAC_fetch(nullptr, "HMAC", nullptr), "HMAC");
  for (std::size_t i = 0; i < kDigests; ++i) {
    library.digests[i] = needed(EVP_MD_fetch(nullptr, kDigestNames[i], nullptr), kDigestNames[i]);
    library.hmacs[i] = needed(EVP_MAC_CTX_new(hmac), "HMAC");
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(kDigestNames[i]), 0),
        OSSL_PARAM_construct_end()};
    needed(EVP_MAC_CTX_set_params(library.hmacs[i], parameters) == 1 ? hmac : nullptr, "HMAC");
  }
  for (std::size_t mode = 0; mode < kCipherModes; ++mode) {
    for (std::size_t size = 0; size < kKeySizes; ++size) {
      const char* name = kCipherNames[mode][size];
      library.ciphers[mode][size] = needed(EVP_CIPHER_fetch(nullptr, name, nullptr), name);
    }
  }
  library.hkdf = needed(EVP_KDF_fetch(nullptr, "HKDF", nullptr), "HKDF");
  library.pbkdf2 = needed(EVP_KDF_fetch(nullptr, "PBKDF2", nullptr), "PBKDF2");
  warm_up_library();
}

Digest digest_at(const Arguments& arguments, int index) {
  const std::uint32_t number = uint32_at(arguments, index);
  expect(number < kDigests, "the runtime passes the number of a digest");
  return static_cast<Digest>(number);
}

const EVP_MD* digest_of(Digest digest) { return library.digests[static_cast<std::size_t>(digest)]; }
std::size_t digest_bytes(Digest digest) { return kDigestSizes[static_cast<std::size_t>(digest)]; }

const EVP_CIPHER* aes(CipherMode mode, std::size_t key_bytes) {
  return library.ciphers[static_cast<std::size_t>(mode)][key_bytes / 8 - 2];
}

EVP_MAC_CTX* hmac_with(Digest digest) { return library.hmacs[static_cast<std::size_t>(digest)]; }
EVP_KDF* hkdf() { return library.hkdf; }
EVP_KDF* pbkdf2() { return library.pbkdf2; }

BigNumber to_number(ConstBytes big_endian) {
  return BigNumber(BN_bin2bn(big_endian.data(), static_cast<int>(big_endian.size()), nullptr));
}

}  // namespace holdfast::worker::crypto
