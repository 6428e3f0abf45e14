// Ed25519 and X25519 (RFC 8032, RFC 7748). curveGenerate(kind) -> key or a reason; curveImport(kind, public or null,
// private or null) -> key or a reason, where they are 32 bytes each; curvePublic(key), curvePrivate(key) ->
// ArrayBuffer or a reason; ed25519Sign(key, data) -> ArrayBuffer or a reason, ed25519Verify(key, data, signature) ->
// boolean or a reason.
#include <cstring>

#include "worker/crypto/key_handle.h"

namespace holdfast::worker::crypto {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kSignatureBytes = 64;

void curve_generate(const Arguments& arguments) {
  Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, type_of(kind_at(arguments, 0))));
  if (key == nullptr) return return_failure(arguments, kNotGenerated);
  return_key(arguments, std::move(key));
}

// From the private key follows the public one; if that is given too, it must be the same.
void curve_import(const Arguments& arguments) {
  const char* type = type_of(kind_at(arguments, 0));
  if (arguments[2]->IsNull()) {
    const Input bytes(arguments[1]);
    Key key(bytes.size() == kKeyBytes ? EVP_PKEY_new_raw_public_key_ex(nullptr, type, nullptr, bytes.data(), kKeyBytes)
                                      : nullptr);
    if (key == nullptr) return return_failure(arguments, kInvalidKey);
    return return_key(arguments, std::move(key));
  }
  const Input bytes(arguments[2]);
  Key key(bytes.size() == kKeyBytes ? EVP_PKEY_new_raw_private_key_ex(nullptr, type, nullptr, bytes.data(), kKeyBytes)
                                    : nullptr);
  std::array<std::uint8_t, kKeyBytes> derived;
  std::size_t size = derived.size();
  if (key == nullptr || EVP_PKEY_get_raw_public_key(key.get(), derived.data(), &size) != 1) {
    return return_failure(arguments, kInvalidKey);
  }
  const Input given(arguments[1]);
  if (given.size() != size || std::memcmp(given.data(), derived.data(), size) != 0) {
    return return_failure(arguments, "the public key is not that of the private key");
  }
  return_key(arguments, std::move(key));
}

template <auto kGet>
void curve_bytes(const Arguments& arguments) {
  std::array<std::uint8_t, kKeyBytes> bytes;
  std::size_t size = bytes.size();
  if (kGet(key_at(arguments, 0), bytes.data(), &size) != 1) {
    return return_failure(arguments, "the key could not be exported");
  }
  return_bytes(arguments, std::span(bytes).first(size));
}

void ed25519_sign(const Arguments& arguments) {
  const Input data(arguments[1]);
  const DigestContext context(EVP_MD_CTX_new());
  std::array<std::uint8_t, kSignatureBytes> signature;
  std::size_t size = signature.size();
  if (context == nullptr ||
      EVP_DigestSignInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key_at(arguments, 0), nullptr) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, data.data(), data.size()) != 1) {
    return return_failure(arguments, "the data could not be signed");
  }
  return_bytes(arguments, std::span(signature).first(size));
}

void ed25519_verify(const Arguments& arguments) {
  const Input data(arguments[1]), signature(arguments[2]);
  const DigestContext context(EVP_MD_CTX_new());
  if (context == nullptr ||
      EVP_DigestVerifyInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key_at(arguments, 0), nullptr) != 1) {
    return return_failure(arguments, "the signature could not be checked");
  }
  const bool holds = EVP_DigestVerify(context.get(), signature.data(), signature.size(), data.data(), data.size()) == 1;
  if (!holds) forget_failure();
  arguments.GetReturnValue().Set(holds);
}

constexpr NativeFunction kFunctions[] = {
    {"curveGenerate", curve_generate},
    {"curveImport", curve_import},
    {"curvePublic", curve_bytes<EVP_PKEY_get_raw_public_key>},
    {"curvePrivate", curve_bytes<EVP_PKEY_get_raw_private_key>},
    {"ed25519Sign", ed25519_sign},
    {"ed25519Verify", ed25519_verify},
};

}  // namespace

std::span<const NativeFunction> curve25519_functions() { return kFunctions; }

}  // namespace holdfast::worker::crypto
