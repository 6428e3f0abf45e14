// hkdf(digest, key, salt, info, bytes) -> ArrayBuffer or a reason,
// pbkdf2(digest, password, salt, iterations, bytes) -> ArrayBuffer or a reason.
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "worker/crypto/library.h"

namespace holdfast::worker::crypto {
namespace {

using DerivationContext = std::unique_ptr<EVP_KDF_CTX, FreeWith<EVP_KDF_CTX_free>>;

OSSL_PARAM octets(const char* name, const Input& input) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(input.data()), input.size());
}

OSSL_PARAM digest_name(Digest digest) {
  return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char*>(EVP_MD_get0_name(digest_of(digest))),
                                          0);
}

void derive(const Arguments& arguments, EVP_KDF* function, const OSSL_PARAM* parameters, std::size_t size) {
  const DerivationContext context(EVP_KDF_CTX_new(function));
  Output output(arguments, size);
  if (!output) return;
  if (size != 0 && (context == nullptr || EVP_KDF_derive(context.get(), output.data(), size, parameters) != 1)) {
    return return_failure(arguments, "the bits could not be derived");
  }
  arguments.GetReturnValue().Set(output.buffer());
}

void derive_hkdf(const Arguments& arguments) {
  const Input key(arguments[1]), salt(arguments[2]), info(arguments[3]);
  const Digest digest = digest_at(arguments, 0);
  const std::size_t size = uint32_at(arguments, 4);
  // RFC 5869, 2.3.
  if (size > 255 * digest_bytes(digest)) {
    return return_failure(arguments, "HKDF: the length must be at most 255 times that of the hash");
  }
  // An empty key is valid, but libcrypto takes a null address for no key. An empty salt equals no salt.
  static std::uint8_t nothing;
  const OSSL_PARAM key_parameter = key.size() == 0 ? OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, &nothing, 0)
                                                   : octets(OSSL_KDF_PARAM_KEY, key);
  std::array<OSSL_PARAM, 5> parameters;
  std::size_t count = 0;
  parameters[count++] = digest_name(digest);
  parameters[count++] = key_parameter;
  if (salt.size() != 0) parameters[count++] = octets(OSSL_KDF_PARAM_SALT, salt);
  if (info.size() != 0) parameters[count++] = octets(OSSL_KDF_PARAM_INFO, info);
  parameters[count] = OSSL_PARAM_construct_end();
  derive(arguments, hkdf(), parameters.data(), size);
}

// The number of iterations is not bounded: the module pays for them with its own time, and a process that does not
// return to JavaScript is killed at the end of its stretch.
void derive_pbkdf2(const Arguments& arguments) {
  static std::uint8_t nothing;
  const Input password(arguments[1]), salt(arguments[2]);
  std::uint64_t iterations = uint32_at(arguments, 3);
  const OSSL_PARAM parameters[] = {
      digest_name(digest_at(arguments, 0)),
      password.size() == 0 ? OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, &nothing, 0)
                           : octets(OSSL_KDF_PARAM_PASSWORD, password),
      salt.size() == 0 ? OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, &nothing, 0)
                       : octets(OSSL_KDF_PARAM_SALT, salt),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_ITER, &iterations), OSSL_PARAM_construct_end()};
  derive(arguments, pbkdf2(), parameters, uint32_at(arguments, 4));
}

constexpr NativeFunction kDerivationFunctions[] = {{"hkdf", derive_hkdf}, {"pbkdf2", derive_pbkdf2}};

}  // namespace

std::span<const NativeFunction> derivation_functions() { return kDerivationFunctions; }

}  // namespace holdfast::worker::crypto
