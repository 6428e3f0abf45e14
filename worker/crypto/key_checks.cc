#include "worker/crypto/key_checks.h"

#include <openssl/core_names.h>

namespace holdfast::worker::crypto {
namespace {

using NumberContext = std::unique_ptr<BN_CTX, FreeWith<BN_CTX_free>>;

bool is_valid_rsa_public(const BIGNUM* modulus, const BIGNUM* exponent) {
  return modulus != nullptr && exponent != nullptr && BN_num_bits(modulus) >= kMinModulusBits &&
         BN_num_bits(modulus) <= kMaxModulusBits && BN_is_odd(modulus) && BN_is_odd(exponent) && !BN_is_one(exponent) &&
         BN_cmp(exponent, modulus) < 0;
}

// Does not check that p and q are primes, which would take seconds. Other numbers give wrong results only to the
// owner of the key.
bool is_valid_rsa_private(const EVP_PKEY* key, const BIGNUM* modulus, const BIGNUM* exponent) {
  // This API has no keys of more than two primes.
  if (number_of(key, OSSL_PKEY_PARAM_RSA_FACTOR3) != nullptr) return false;
  const BigNumber d = number_of(key, OSSL_PKEY_PARAM_RSA_D);
  const BigNumber p = number_of(key, OSSL_PKEY_PARAM_RSA_FACTOR1);
  const BigNumber q = number_of(key, OSSL_PKEY_PARAM_RSA_FACTOR2);
  const BigNumber dp = number_of(key, OSSL_PKEY_PARAM_RSA_EXPONENT1);
  const BigNumber dq = number_of(key, OSSL_PKEY_PARAM_RSA_EXPONENT2);
  const BigNumber qi = number_of(key, OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
  for (const BIGNUM* number : {d.get(), p.get(), q.get(), dp.get(), dq.get(), qi.get()}) {
    if (number == nullptr || BN_is_zero(number) || BN_is_negative(number) || BN_cmp(number, modulus) >= 0) return false;
  }
  if (!BN_is_odd(p.get()) || !BN_is_odd(q.get()) || BN_is_one(p.get()) || BN_is_one(q.get())) return false;

  const NumberContext context(BN_CTX_new());
  const BigNumber product(BN_new()), less(BN_new());
  if (context == nullptr || product == nullptr || less == nullptr) return false;
  // Whether both `exponent` and `part_exponent` undo modulo `prime` what the other does.
  const auto fits = [&](const BIGNUM* prime, const BIGNUM* part_exponent) {
    return BN_cmp(part_exponent, prime) < 0 && BN_sub(less.get(), prime, BN_value_one()) == 1 &&
           BN_mod_mul(product.get(), exponent, part_exponent, less.get(), context.get()) == 1 &&
           BN_is_one(product.get()) && BN_mod_mul(product.get(), exponent, d.get(), less.get(), context.get()) == 1 &&
           BN_is_one(product.get());
  };
  return BN_mul(product.get(), p.get(), q.get(), context.get()) == 1 && BN_cmp(product.get(), modulus) == 0 &&
         fits(p.get(), dp.get()) && fits(q.get(), dq.get()) && BN_cmp(qi.get(), p.get()) < 0 &&
         BN_mod_mul(product.get(), qi.get(), q.get(), p.get(), context.get()) == 1 && BN_is_one(product.get());
}

bool is_valid_rsa(const EVP_PKEY* key, KeyPart part) {
  const BigNumber modulus = number_of(key, OSSL_PKEY_PARAM_RSA_N), exponent = number_of(key, OSSL_PKEY_PARAM_RSA_E);
  if (!is_valid_rsa_public(modulus.get(), exponent.get())) return false;
  return part == KeyPart::public_part || is_valid_rsa_private(key, modulus.get(), exponent.get());
}

bool is_valid_elliptic(EVP_PKEY* key, KeyKind kind, KeyPart part) {
  std::array<char, 32> group{};
  std::size_t size = 0;
  int explicit_parameters = 0;
  // A curve given by explicit parameters may look like a named one without being it.
  if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_parameters) == 1 &&
      explicit_parameters != 0) {
    return false;
  }
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), &size) != 1 ||
      std::string_view(group.data(), size) != group_of(kind) ||
      EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") != 1) {
    return false;
  }
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (context == nullptr || EVP_PKEY_public_check_quick(context.get()) != 1) return false;
  return part == KeyPart::public_part ||
         (number_of(key, OSSL_PKEY_PARAM_PRIV_KEY) != nullptr && EVP_PKEY_private_check(context.get()) == 1 &&
          EVP_PKEY_pairwise_check(context.get()) == 1);
}

}  // namespace

bool is_valid(EVP_PKEY* key, KeyKind kind, KeyPart part) {
  if (EVP_PKEY_is_a(key, type_of(kind)) != 1) return false;
  if (kind == KeyKind::rsa) return is_valid_rsa(key, part);
  if (is_elliptic(kind)) return is_valid_elliptic(key, kind, part);
  return true;
}

}  // namespace holdfast::worker::crypto
