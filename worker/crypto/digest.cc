// digest(digest, data) -> ArrayBuffer or a reason, hmac(digest, key, data) -> ArrayBuffer or a reason,
// hmacVerify(digest, key, data, signature) -> boolean or a reason. `digest` is a number of Digest.
#include <openssl/crypto.h>

#include "worker/crypto/library.h"

namespace holdfast::worker::crypto {
namespace {

constexpr std::string_view kNoHmac = "the HMAC could not be computed";

void digest(const Arguments& arguments) {
  const Digest algorithm = digest_at(arguments, 0);
  const Input data(arguments[1]);
  std::array<std::uint8_t, kMaxDigestBytes> result;
  if (EVP_Digest(data.data(), data.size(), result.data(), nullptr, digest_of(algorithm), nullptr) != 1) {
    return return_failure(arguments, "the digest could not be computed");
  }
  return_bytes(arguments, std::span(result).first(digest_bytes(algorithm)));
}

// The context is reused: it has its digest, which would otherwise be looked up each time.
bool compute_hmac(const Arguments& arguments, std::array<std::uint8_t, kMaxDigestBytes>& result, std::size_t& size) {
  EVP_MAC_CTX* context = hmac_with(digest_at(arguments, 0));
  const Input key(arguments[1]), data(arguments[2]);
  return EVP_MAC_init(context, key.data(), key.size(), nullptr) == 1 &&
         EVP_MAC_update(context, data.data(), data.size()) == 1 &&
         EVP_MAC_final(context, result.data(), &size, result.size()) == 1;
}

void hmac(const Arguments& arguments) {
  std::array<std::uint8_t, kMaxDigestBytes> result;
  std::size_t size = 0;
  if (!compute_hmac(arguments, result, size)) return return_failure(arguments, kNoHmac);
  return_bytes(arguments, std::span(result).first(size));
}

void hmac_verify(const Arguments& arguments) {
  std::array<std::uint8_t, kMaxDigestBytes> result;
  std::size_t size = 0;
  if (!compute_hmac(arguments, result, size)) return return_failure(arguments, kNoHmac);
  const Input signature(arguments[3]);
  arguments.GetReturnValue().Set(signature.size() == size && CRYPTO_memcmp(signature.data(), result.data(), size) == 0);
}

constexpr NativeFunction kDigestFunctions[] = {{"digest", digest}, {"hmac", hmac}, {"hmacVerify", hmac_verify}};

}  // namespace

std::span<const NativeFunction> digest_functions() { return kDigestFunctions; }

}  // namespace holdfast::worker::crypto
