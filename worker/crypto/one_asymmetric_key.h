// A private key as PKCS #8 has it in its second version, OneAsymmetricKey (RFC 5958): with attributes and the public
// key. libcrypto 3.0 knows the first version alone. What is read here is hostile. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace holdfast::worker::crypto {

struct OneAsymmetricKey {
  // The same key in the first version, without attributes and public key.
  std::vector<std::uint8_t> first_version;
  // What the public key's BIT STRING holds; nothing: there is none. Part of the input.
  std::optional<std::span<const std::uint8_t>> public_key;
};

// Nothing: `input` is no OneAsymmetricKey of the second version, or is not encoded as DER has it (X.690, chapters 10
// and 11): with the shortest lengths, without anything behind it, and with sets in order.
std::optional<OneAsymmetricKey> read_one_asymmetric_key(std::span<const std::uint8_t> input);

}  // namespace holdfast::worker::crypto
