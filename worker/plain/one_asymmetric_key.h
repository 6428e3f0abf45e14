// Reads private keys in the second version of PKCS #8, OneAsymmetricKey (RFC 5958), which may contain attributes and
// the public key. libcrypto 3.0 knows only the first version. The input is hostile. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace holdfast::worker::crypto {

struct OneAsymmetricKey {
  // The same key in the first version, without attributes and public key.
  std::vector<std::uint8_t> first_version;
  // The contents of the public key's BIT STRING, as a part of the input; nothing if there is none.
  std::optional<std::span<const std::uint8_t>> public_key;
};

// Returns nothing if `input` is not a OneAsymmetricKey of the second version, or not encoded in DER (X.690, chapters
// 10 and 11): with the shortest lengths, nothing behind it, and sets in order.
std::optional<OneAsymmetricKey> read_one_asymmetric_key(std::span<const std::uint8_t> input);

}  // namespace holdfast::worker::crypto
