// Checks keys that a module imports: libcrypto accepts many without checking them.
#pragma once

#include "worker/crypto/key_handle.h"

namespace holdfast::worker::crypto {

enum class KeyPart { public_part, private_part };

// The largest encoding of a key that is accepted. The parts of an RSA key of 16384 bits take 9 kB.
inline constexpr std::size_t kMaxKeyBytes = 16 << 10;

inline constexpr int kMinModulusBits = 256;
inline constexpr int kMaxModulusBits = 16384;

// Whether the key is of that kind, its numbers are within bounds, and its private and public parts belong together.
// From here on, encodings of an elliptic curve's key have uncompressed points.
bool is_valid(EVP_PKEY* key, KeyKind kind, KeyPart part);

}  // namespace holdfast::worker::crypto
