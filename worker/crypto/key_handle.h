// Asymmetric keys as JavaScript objects: only the runtime holds them, and only these functions look inside. The key is
// freed when its object is collected.
#pragma once

#include <optional>
#include <string_view>

#include "worker/crypto/library.h"

namespace holdfast::worker::crypto {

enum class KeyKind : std::uint32_t { rsa, p256, p384, p521, ed25519, x25519, ed448, x448 };

// libcrypto's name of the kind of key.
const char* type_of(KeyKind kind);
// libcrypto's name of the curve; only for the elliptic curves over prime fields.
const char* group_of(KeyKind kind);
bool is_elliptic(KeyKind kind);

KeyKind kind_at(const Arguments& arguments, int index);
EVP_PKEY* key_at(const Arguments& arguments, int index);

void return_key(const Arguments& arguments, Key key);

// The public key with this point, which may be compressed. Null if the bytes, of any number, are not a point of the
// curve.
Key public_elliptic_key(KeyKind kind, ConstBytes point);

// The key's number of that name; null if it has none.
BigNumber number_of(const EVP_PKEY* key, const char* name);

inline constexpr std::string_view kNotGenerated = "the key could not be generated";
inline constexpr std::string_view kInvalidKey = "the key is not valid";
inline constexpr std::string_view kOtherPublicKey = "the public key does not match the private key";

}  // namespace holdfast::worker::crypto
