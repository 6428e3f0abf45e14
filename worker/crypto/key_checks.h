// Whether a key that a module brings is one: what libcrypto takes without looking may be anything.
#pragma once

#include "worker/crypto/key_handle.h"

namespace holdfast::worker::crypto {

enum class KeyPart { public_part, private_part };

// What the encoding of any key that is taken fits into: the parts of an RSA key of 16384 bits have 9 kB.
inline constexpr std::size_t kMaxKeyBytes = 16 << 10;

inline constexpr int kMinModulusBits = 256;
inline constexpr int kMaxModulusBits = 16384;

// Of that kind, its numbers within bounds, and private and public part belonging together. An elliptic curve's points
// are not compressed from here on when the key is encoded.
bool is_valid(EVP_PKEY* key, KeyKind kind, KeyPart part);

}  // namespace holdfast::worker::crypto
