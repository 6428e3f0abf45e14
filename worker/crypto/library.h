// Owning pointers for libcrypto's types, and the algorithms, which are looked up once, in the zygote.
#pragma once

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include <memory>

#include "worker/crypto/native.h"

namespace holdfast::worker::crypto {

template <auto kFree>
struct FreeWith {
  template <typename T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};

using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeWith<EVP_CIPHER_CTX_free>>;
using BigNumber = std::unique_ptr<BIGNUM, FreeWith<BN_clear_free>>;

// Numbered as in the runtime.
enum class Digest : std::uint32_t { sha1, sha256, sha384, sha512 };
inline constexpr std::size_t kDigests = 4;
inline constexpr std::size_t kMaxDigestBytes = 64;

enum class CipherMode { cbc, ctr, gcm, wrap };
inline constexpr std::size_t kCipherModes = 4;

// Sets libcrypto up and looks up the algorithms. Reads no file, and leaves nothing to do when the process ends.
// Aborts if libcrypto lacks an algorithm.
void set_up_library();

Digest digest_at(const Arguments& arguments, int index);
const EVP_MD* digest_of(Digest digest);
std::size_t digest_bytes(Digest digest);
// The key has 16, 24 or 32 bytes.
const EVP_CIPHER* aes(CipherMode mode, std::size_t key_bytes);
// A context that has its digest, so that EVP_MAC_init() needs only a key. Belongs to the library.
EVP_MAC_CTX* hmac_with(Digest digest);
EVP_KDF* hkdf();
EVP_KDF* pbkdf2();

BigNumber to_number(ConstBytes big_endian);

}  // namespace holdfast::worker::crypto
