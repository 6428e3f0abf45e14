// Private keys in the second version of PKCS #8: valid ones are read, and nothing else is.
#include "worker/plain/one_asymmetric_key.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::worker::crypto {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes operator+(Bytes one, const Bytes& other) {
  one.insert(one.end(), other.begin(), other.end());
  return one;
}

// Encodes an element with the shortest form of its length.
Bytes element(std::uint8_t tag, const Bytes& contents) {
  const std::size_t size = contents.size();
  const auto low = static_cast<std::uint8_t>(size), high = static_cast<std::uint8_t>(size >> 8);
  if (size < 0x80) return Bytes{tag, low} + contents;
  if (size < 0x100) return Bytes{tag, 0x81, low} + contents;
  return Bytes{tag, 0x82, high, low} + contents;
}

const Bytes kEd25519 = element(0x30, element(0x06, {0x2b, 0x65, 0x70}));
const Bytes kSeed(32, 7), kPublic(32, 9);
const Bytes kKey = element(0x04, element(0x04, kSeed));
const Bytes kVersion2 = element(0x02, {1});
const Bytes kBits = element(0x81, Bytes{0} + kPublic);

// RFC 8410, 10.3: friendlyName is "Curdle Chairs".
const Bytes kFriendlyName =
    element(0x30, element(0x06, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x09, 0x14}) +
                      element(0x31, element(0x0c, {'C', 'u', 'r', 'd', 'l', 'e', ' ', 'C', 'h', 'a', 'i', 'r', 's'})));

Bytes key_of(const Bytes& contents) { return element(0x30, contents); }
bool is_read(const Bytes& input) { return read_one_asymmetric_key(input).has_value(); }

TEST_CASE("a key of the second version becomes one of the first, and its public key is told") {
  const Bytes first = key_of(element(0x02, {0}) + kEd25519 + kKey);
  for (const Bytes& attributes : {Bytes{}, element(0xa0, kFriendlyName), element(0xa0, {})}) {
    const Bytes input = key_of(kVersion2 + kEd25519 + kKey + attributes + kBits);
    const auto read = read_one_asymmetric_key(input);
    REQUIRE(read.has_value());
    CHECK(read->first_version == first);
    REQUIRE(read->public_key.has_value());
    CHECK(Bytes(read->public_key->begin(), read->public_key->end()) == kPublic);
  }
  const auto alone = read_one_asymmetric_key(key_of(kVersion2 + kEd25519 + kKey));
  REQUIRE(alone.has_value());
  CHECK_FALSE(alone->public_key.has_value());
}

TEST_CASE("keys of any size that is taken are written with the shortest lengths") {
  for (const std::size_t size : {60, 70, 80, 100, 120, 127, 128, 130, 200, 230, 250, 255, 256, 300, 5000}) {
    const Bytes key = element(0x04, element(0x04, Bytes(size, 1)));
    const auto read = read_one_asymmetric_key(key_of(kVersion2 + kEd25519 + key));
    REQUIRE(read.has_value());
    CHECK(read->first_version == key_of(element(0x02, {0}) + kEd25519 + key));
  }
}

TEST_CASE("a key of another version or in another order or with extra data is not read") {
  const Bytes rest = kEd25519 + kKey;
  CHECK(is_read(key_of(kVersion2 + rest + kBits)));
  CHECK_FALSE(is_read(key_of(element(0x02, {0}) + rest)));
  CHECK_FALSE(is_read(key_of(element(0x02, {0}) + rest + kBits)));
  CHECK_FALSE(is_read(key_of(element(0x02, {2}) + rest + kBits)));
  CHECK_FALSE(is_read(key_of(element(0x02, {0, 1}) + rest + kBits)));
  CHECK_FALSE(is_read(key_of(element(0x02, {}) + rest + kBits)));
  CHECK_FALSE(is_read(key_of(element(0x0a, {1}) + rest + kBits)));
  CHECK_FALSE(is_read(key_of(kVersion2 + kKey + kEd25519 + kBits)));
  CHECK_FALSE(is_read(key_of(kVersion2 + rest + kBits + element(0xa0, kFriendlyName))));
  CHECK_FALSE(is_read(key_of(kVersion2 + rest + kBits + kBits)));
  CHECK_FALSE(is_read(key_of(kVersion2 + rest + kBits + element(0x82, {1}))));
  CHECK_FALSE(is_read(key_of(kVersion2 + rest + kBits) + Bytes{0}));
  CHECK_FALSE(is_read(key_of(kVersion2 + kEd25519 + element(0x04, element(0x04, kSeed) + Bytes{0}) + kBits)));
  CHECK_FALSE(is_read(key_of(kVersion2 + kEd25519 + element(0x04, kSeed) + kBits)));
  CHECK_FALSE(is_read(key_of(kVersion2 + element(0x30, {}) + kKey + kBits)));
  CHECK_FALSE(is_read(key_of(kVersion2 + element(0x30, element(0x05, {})) + kKey + kBits)));
  CHECK_FALSE(is_read({}));
}

TEST_CASE("a public key is whole bytes, and attributes are a set in order") {
  const Bytes start = kVersion2 + kEd25519 + kKey;
  CHECK_FALSE(is_read(key_of(start + element(0x81, {}))));
  CHECK_FALSE(is_read(key_of(start + element(0x81, {0}))));
  CHECK_FALSE(is_read(key_of(start + element(0x81, Bytes{1} + kPublic))));
  CHECK_FALSE(is_read(key_of(start + element(0xa1, element(0x03, Bytes{0} + kPublic)))));
  const auto with = [&](const Bytes& attributes) { return is_read(key_of(start + element(0xa0, attributes) + kBits)); };
  const auto attribute = [](std::uint8_t type, const Bytes& values) {
    return element(0x30, element(0x06, {0x2a, type}) + element(0x31, values));
  };
  const Bytes one = element(0x05, {}), two = element(0x0c, {'a'});
  CHECK(with(attribute(3, one)));
  CHECK(with(attribute(3, one + two)));
  CHECK(with(attribute(3, one) + attribute(4, one)));
  CHECK_FALSE(with(attribute(4, one) + attribute(3, one)));
  CHECK_FALSE(with(attribute(3, two + one)));
  CHECK_FALSE(with(attribute(3, {})));
  CHECK_FALSE(with(attribute(3, {0x0c, 5, 'a'})));
  CHECK_FALSE(with(element(0x31, one)));
  CHECK_FALSE(with(one));
  CHECK_FALSE(with(element(0x30, element(0x06, {0x2a, 3}))));
  CHECK_FALSE(with(element(0x30, element(0x06, {}) + element(0x31, one))));
  CHECK_FALSE(with({0x30}));
}

TEST_CASE("only valid DER is read and nothing beyond the input") {
  const Bytes whole = key_of(kVersion2 + kEd25519 + kKey + element(0xa0, kFriendlyName) + kBits);
  REQUIRE(is_read(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK_FALSE(is_read(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))));
  }
  // Changes each byte that is a tag or a length. (libcrypto checks which kind of key it is.)
  for (const std::size_t at : {0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 15, 48, 49, 50, 51}) {
    for (int value = 0; value < 0x100; ++value) {
      Bytes changed = whole;
      if (changed[at] == value) continue;
      changed[at] = static_cast<std::uint8_t>(value);
      CAPTURE(at);
      CAPTURE(value);
      CHECK_FALSE(is_read(changed));
    }
  }
  const Bytes contents = kVersion2 + kEd25519 + kKey + kBits;
  const auto size = static_cast<std::uint8_t>(contents.size());
  for (const Bytes& length :
       {Bytes{0x80}, Bytes{0x81, size}, Bytes{0x82, 0, size}, Bytes{0x83, 0, 0, size}, Bytes{0x84, 0, 0, 0, size},
        Bytes{0x88, 0, 0, 0, 0, 0, 0, 0, size}, Bytes{0x82, 0xff, 0xff},
        Bytes{0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, Bytes{0xff}, Bytes{0x81}, Bytes{0x82}}) {
    CAPTURE(length.size());
    CHECK_FALSE(is_read(Bytes{0x30} + length + contents));
    CHECK_FALSE(is_read(Bytes{0x30} + length + contents + Bytes{0, 0}));
  }
  CHECK_FALSE(is_read(Bytes(16 << 10, 0x30)));
  CHECK_FALSE(is_read(Bytes(16 << 10, 0x1f)));
}

}  // namespace
}  // namespace holdfast::worker::crypto
