// Ed25519 and Ed448 (RFC 8032), X25519 and X448 (RFC 7748), which JSON Web Keys call octet key pairs (RFC 8037).
// curveGenerate(kind) -> key or a reason.
// curveImport(kind, public or null, private or null) -> key or a reason; each has as many bytes as the curve's field.
// curvePublic(key), curvePrivate(key) -> ArrayBuffer or a reason.
// eddsaSign(key, data) -> ArrayBuffer or a reason, eddsaVerify(key, data, signature) -> boolean or a reason.
#include <algorithm>
#include <cstring>

#include "worker/crypto/key_handle.h"

namespace holdfast::worker::crypto {
namespace {

constexpr std::size_t kEd25519Bytes = 32;
constexpr std::size_t kEd448Bytes = 57;
// The largest key in bytes; a signature consists of a point and a number of that size.
constexpr std::size_t kMostKeyBytes = kEd448Bytes;

// An element of the field, encoded as in points: little-endian.
template <std::size_t kSize>
constexpr std::array<std::uint8_t, kSize> element(std::uint8_t first, std::uint8_t rest, std::uint8_t last) {
  std::array<std::uint8_t, kSize> bytes{};
  bytes.fill(rest);
  bytes.front() = first;
  bytes.back() = last;
  return bytes;
}

// The y coordinates of the points whose order divides the cofactor. The other half of a point's encoding, the sign of
// x, does not matter for these. They are 0, 1, -1, and the two of order 8; and 0 and 1 again, plus the field's prime,
// because libcrypto accepts those encodings, too.
constexpr std::array<std::array<std::uint8_t, kEd25519Bytes>, 7> kSmallOrder25519 = {
    element<kEd25519Bytes>(0x00, 0x00, 0x00),
    element<kEd25519Bytes>(0x01, 0x00, 0x00),
    element<kEd25519Bytes>(0xec, 0xff, 0x7f),
    element<kEd25519Bytes>(0xed, 0xff, 0x7f),
    element<kEd25519Bytes>(0xee, 0xff, 0x7f),
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
};

// -1 modulo the prime 2^448 - 2^224 - 1.
constexpr std::array<std::uint8_t, kEd448Bytes> minus_one_448() {
  auto bytes = element<kEd448Bytes>(0xfe, 0xff, 0x00);
  bytes[28] = 0xfe;
  return bytes;
}

// This curve has no points of order 8, and libcrypto accepts only one encoding.
constexpr std::array<std::array<std::uint8_t, kEd448Bytes>, 3> kSmallOrder448 = {
    element<kEd448Bytes>(0x00, 0x00, 0x00), element<kEd448Bytes>(0x01, 0x00, 0x00), minus_one_448()};

template <std::size_t kSize, std::size_t kCount>
bool is_among(const std::array<std::array<std::uint8_t, kSize>, kCount>& points, ConstBytes point) {
  std::array<std::uint8_t, kSize> y;
  std::copy_n(point.begin(), kSize, y.begin());
  y.back() &= 0x7f;
  return std::find(points.begin(), points.end(), y) != points.end();
}

bool has_small_order(ConstBytes point) {
  return point.size() == kEd448Bytes ? is_among(kSmallOrder448, point) : is_among(kSmallOrder25519, point);
}

// The standard demands this on top of RFC 8032: a signature never holds for such a public key, or if its first half
// is such a point. Otherwise one signature could hold for many messages or many keys.
bool has_small_order(const EVP_PKEY* key, ConstBytes signature) {
  std::array<std::uint8_t, kMostKeyBytes> point;
  std::size_t size = point.size();
  if (EVP_PKEY_get_raw_public_key(key, point.data(), &size) != 1) return true;
  return signature.size() != 2 * size || has_small_order(std::span(point).first(size)) ||
         has_small_order(signature.first(size));
}

void curve_generate(const Arguments& arguments) {
  Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, type_of(kind_at(arguments, 0))));
  if (key == nullptr) return return_failure(arguments, kNotGenerated);
  return_key(arguments, std::move(key));
}

// The private key determines the public one. If both are given, they must match.
void curve_import(const Arguments& arguments) {
  const char* type = type_of(kind_at(arguments, 0));
  if (arguments[2]->IsNull()) {
    const Input bytes(arguments[1]);
    Key key(EVP_PKEY_new_raw_public_key_ex(nullptr, type, nullptr, bytes.data(), bytes.size()));
    if (key == nullptr) return return_failure(arguments, kInvalidKey);
    return return_key(arguments, std::move(key));
  }
  const Input bytes(arguments[2]);
  Key key(EVP_PKEY_new_raw_private_key_ex(nullptr, type, nullptr, bytes.data(), bytes.size()));
  std::array<std::uint8_t, kMostKeyBytes> derived;
  std::size_t size = derived.size();
  if (key == nullptr || EVP_PKEY_get_raw_public_key(key.get(), derived.data(), &size) != 1) {
    return return_failure(arguments, kInvalidKey);
  }
  const Input given(arguments[1]);
  if (given.size() != size || std::memcmp(given.data(), derived.data(), size) != 0) {
    return return_failure(arguments, kOtherPublicKey);
  }
  return_key(arguments, std::move(key));
}

template <auto kGet>
void curve_bytes(const Arguments& arguments) {
  std::array<std::uint8_t, kMostKeyBytes> bytes;
  std::size_t size = bytes.size();
  if (kGet(key_at(arguments, 0), bytes.data(), &size) != 1) {
    return return_failure(arguments, "the key could not be exported");
  }
  return_bytes(arguments, std::span(bytes).first(size));
}

void eddsa_sign(const Arguments& arguments) {
  const Input data(arguments[1]);
  const DigestContext context(EVP_MD_CTX_new());
  std::array<std::uint8_t, 2 * kMostKeyBytes> signature;
  std::size_t size = signature.size();
  if (context == nullptr ||
      EVP_DigestSignInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key_at(arguments, 0), nullptr) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, data.data(), data.size()) != 1) {
    return return_failure(arguments, "the data could not be signed");
  }
  return_bytes(arguments, std::span(signature).first(size));
}

void eddsa_verify(const Arguments& arguments) {
  const Input data(arguments[1]), signature(arguments[2]);
  const DigestContext context(EVP_MD_CTX_new());
  if (context == nullptr ||
      EVP_DigestVerifyInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key_at(arguments, 0), nullptr) != 1) {
    return return_failure(arguments, "the signature could not be checked");
  }
  const bool holds = !has_small_order(key_at(arguments, 0), signature.bytes()) &&
                     EVP_DigestVerify(context.get(), signature.data(), signature.size(), data.data(), data.size()) == 1;
  if (!holds) forget_failure();
  arguments.GetReturnValue().Set(holds);
}

constexpr NativeFunction kOctetKeyPairFunctions[] = {
    {"curveGenerate", curve_generate},
    {"curveImport", curve_import},
    {"curvePublic", curve_bytes<EVP_PKEY_get_raw_public_key>},
    {"curvePrivate", curve_bytes<EVP_PKEY_get_raw_private_key>},
    {"eddsaSign", eddsa_sign},
    {"eddsaVerify", eddsa_verify},
};

}  // namespace

std::span<const NativeFunction> octet_key_pair_functions() { return kOctetKeyPairFunctions; }

}  // namespace holdfast::worker::crypto
