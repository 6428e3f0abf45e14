// ecGenerate(kind) -> key or a reason; ecImport(kind, point, d or null) -> key or a reason; the point may be
// compressed.
// ecPoint(key) -> [x, y], ecScalar(key) -> d, as ArrayBuffers of the field's size.
// ecdsaSign(key, digest, data) -> ArrayBuffer or a reason, ecdsaVerify(key, digest, data, signature) -> boolean or a
// reason. A signature is r and s, each of the field's size (IEEE P1363).
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

#include "worker/crypto/key_checks.h"

namespace holdfast::worker::crypto {
namespace {

using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>>;

constexpr std::size_t kMaxFieldBytes = 66;
constexpr std::size_t kMaxPointBytes = 1 + 2 * kMaxFieldBytes;

std::size_t field_bytes(const EVP_PKEY* key) { return (static_cast<std::size_t>(EVP_PKEY_get_bits(key)) + 7) / 8; }

void ec_generate(const Arguments& arguments) {
  Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", group_of(kind_at(arguments, 0))));
  if (key == nullptr) return return_failure(arguments, kNotGenerated);
  return_key(arguments, std::move(key));
}

// `scalar` is null for a public key.
Key make_key(KeyKind kind, ConstBytes point, const BIGNUM* scalar) {
  // Excludes the point at infinity, which is a single byte.
  if (point.size() < 2 || point.size() > kMaxPointBytes) return nullptr;
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group_of(kind), 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1 ||
      (scalar != nullptr && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, scalar) != 1)) {
    return nullptr;
  }
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* made = nullptr;
  if (context == nullptr || parameters == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, scalar == nullptr ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR,
                        parameters.get()) != 1) {
    return nullptr;
  }
  Key key(made);
  return is_valid(made, kind, scalar == nullptr ? KeyPart::public_part : KeyPart::private_part) ? std::move(key)
                                                                                                : nullptr;
}

void ec_import(const Arguments& arguments) {
  const Input point(arguments[1]);
  BigNumber scalar;
  if (!arguments[2]->IsNull()) {
    scalar = to_number(Input(arguments[2]).bytes());
    if (scalar == nullptr) return return_failure(arguments, kInvalidKey);
  }
  Key key = make_key(kind_at(arguments, 0), point.bytes(), scalar.get());
  if (key == nullptr) return return_failure(arguments, kInvalidKey);
  return_key(arguments, std::move(key));
}

v8::Local<v8::ArrayBuffer> padded(const Arguments& arguments, const EVP_PKEY* key, const char* name) {
  const BigNumber number = number_of(key, name);
  if (number == nullptr) return {};
  Output output(arguments, field_bytes(key));
  if (!output || BN_bn2binpad(number.get(), output.data(), static_cast<int>(output.size())) < 0) return {};
  return output.buffer();
}

void ec_point(const Arguments& arguments) {
  const EVP_PKEY* key = key_at(arguments, 0);
  const auto x = padded(arguments, key, OSSL_PKEY_PARAM_EC_PUB_X), y = padded(arguments, key, OSSL_PKEY_PARAM_EC_PUB_Y);
  if (x.IsEmpty() || y.IsEmpty()) return;
  v8::Local<v8::Value> both[] = {x, y};
  arguments.GetReturnValue().Set(v8::Array::New(arguments.GetIsolate(), both, 2));
}

void ec_scalar(const Arguments& arguments) {
  const auto scalar = padded(arguments, key_at(arguments, 0), OSSL_PKEY_PARAM_PRIV_KEY);
  if (!scalar.IsEmpty()) arguments.GetReturnValue().Set(scalar);
}

void ecdsa_sign(const Arguments& arguments) {
  EVP_PKEY* key = key_at(arguments, 0);
  const char* digest = EVP_MD_get0_name(digest_of(digest_at(arguments, 1)));
  const Input data(arguments[2]);
  const DigestContext context(EVP_MD_CTX_new());
  std::array<std::uint8_t, 2 * kMaxFieldBytes + 16> encoded;  // as DER, with its tags and lengths
  std::size_t size = encoded.size();
  const auto fail = [&] { return_failure(arguments, "the data could not be signed"); };
  if (context == nullptr ||
      EVP_DigestSignInit_ex(context.get(), nullptr, digest, nullptr, nullptr, key, nullptr) != 1 ||
      EVP_DigestSign(context.get(), encoded.data(), &size, data.data(), data.size()) != 1) {
    return fail();
  }
  const std::uint8_t* at = encoded.data();
  const Signature signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
  const auto field = field_bytes(key);
  std::array<std::uint8_t, 2 * kMaxFieldBytes> result;
  const int each = static_cast<int>(field);
  if (signature == nullptr || BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), result.data(), each) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), result.data() + field, each) < 0) {
    return fail();
  }
  return_bytes(arguments, std::span(result).first(2 * field));
}

void ecdsa_verify(const Arguments& arguments) {
  EVP_PKEY* key = key_at(arguments, 0);
  const char* digest = EVP_MD_get0_name(digest_of(digest_at(arguments, 1)));
  const Input data(arguments[2]), given(arguments[3]);
  const auto field = field_bytes(key);
  if (given.size() != 2 * field) return arguments.GetReturnValue().Set(false);
  const Signature signature(ECDSA_SIG_new());
  BigNumber r = to_number(given.bytes().first(field)), s = to_number(given.bytes().last(field));
  std::array<std::uint8_t, 2 * kMaxFieldBytes + 16> encoded;
  std::uint8_t* at = encoded.data();
  int size = -1;
  if (signature != nullptr && r != nullptr && s != nullptr && ECDSA_SIG_set0(signature.get(), r.get(), s.get()) == 1) {
    (void)r.release();  // the signature owns it now
    (void)s.release();
    size = i2d_ECDSA_SIG(signature.get(), &at);
  }
  const DigestContext context(EVP_MD_CTX_new());
  if (size < 0 || context == nullptr ||
      EVP_DigestVerifyInit_ex(context.get(), nullptr, digest, nullptr, nullptr, key, nullptr) != 1) {
    return return_failure(arguments, "the signature could not be checked");
  }
  const bool holds =
      EVP_DigestVerify(context.get(), encoded.data(), static_cast<std::size_t>(size), data.data(), data.size()) == 1;
  if (!holds) forget_failure();
  arguments.GetReturnValue().Set(holds);
}

constexpr NativeFunction kEllipticFunctions[] = {
    {"ecGenerate", ec_generate}, {"ecImport", ec_import},   {"ecPoint", ec_point},
    {"ecScalar", ec_scalar},     {"ecdsaSign", ecdsa_sign}, {"ecdsaVerify", ecdsa_verify},
};

}  // namespace

Key public_elliptic_key(KeyKind kind, ConstBytes point) { return make_key(kind, point, nullptr); }

std::span<const NativeFunction> elliptic_functions() { return kEllipticFunctions; }

}  // namespace holdfast::worker::crypto
