// rsaGenerate(bits, exponent) -> key or a reason; rsaImport([n, e] or [n, e, d, p, q, dp, dq, qi]) -> key or a
// reason.
// rsaNumbers(key, count) -> the first `count` of these numbers as ArrayBuffers, or undefined.
// rsaSign(key, saltBytes, digest, data), rsaVerify(key, saltBytes, digest, data, signature) use RSASSA-PKCS1-v1_5 if
// saltBytes is null, otherwise RSA-PSS. rsaOaep(encrypt, key, digest, label, data).
// rsaSign and rsaOaep return an ArrayBuffer or a reason, rsaVerify a boolean or a reason.
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <climits>
#include <vector>

#include "worker/crypto/key_checks.h"

namespace holdfast::worker::crypto {
namespace {

using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>>;

constexpr std::size_t kMaxModulusBytes = kMaxModulusBits / 8;

// In the order of JSON Web Keys (RFC 7518, 6.3).
constexpr std::array<const char*, 8> kNumbers = {OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
                                                 OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
                                                 OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
                                                 OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1};
constexpr std::uint32_t kPublicNumbers = 2;

// The most bits that libcrypto accepts with any modulus; browsers accept only 3 and 65537.
constexpr int kMaxExponentBits = 64;

void rsa_generate(const Arguments& arguments) {
  const std::uint32_t bits = uint32_at(arguments, 0);
  const Input exponent_bytes(arguments[1]);
  if (bits < static_cast<std::uint32_t>(kMinModulusBits) || bits > static_cast<std::uint32_t>(kMaxModulusBits)) {
    return return_failure(arguments, "an RSA modulus must have 256 to 16384 bits");
  }
  if (exponent_bytes.size() > kMaxModulusBytes) {
    return return_failure(arguments, "the public exponent must be odd, at least 3, and of at most 64 bits");
  }
  const BigNumber exponent = to_number(exponent_bytes.bytes());
  if (exponent == nullptr || !BN_is_odd(exponent.get()) || BN_is_one(exponent.get()) ||
      BN_num_bits(exponent.get()) > kMaxExponentBits) {
    return return_failure(arguments, "the public exponent must be odd, at least 3, and of at most 64 bits");
  }
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* key = nullptr;
  if (context == nullptr || EVP_PKEY_keygen_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), static_cast<int>(bits)) != 1 ||
      EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.get(), exponent.get()) != 1 ||
      EVP_PKEY_generate(context.get(), &key) != 1) {
    return return_failure(arguments, kNotGenerated);
  }
  return_key(arguments, Key(key));
}

void rsa_import(const Arguments& arguments) {
  v8::Local<v8::Context> js_context = arguments.GetIsolate()->GetCurrentContext();
  const auto parts = arguments[0].As<v8::Array>();
  const std::uint32_t count = parts->Length();
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  if (builder == nullptr || context == nullptr) return return_failure(arguments, kInvalidKey);
  std::vector<BigNumber> numbers;  // the builder refers to them
  for (std::uint32_t i = 0; i < count && i < kNumbers.size(); ++i) {
    v8::Local<v8::Value> part;
    if (!parts->Get(js_context, i).ToLocal(&part)) return;
    if (!part->IsArrayBuffer()) return return_failure(arguments, kInvalidKey);
    const Input bytes(part);
    if (bytes.size() == 0 || bytes.size() > kMaxModulusBytes) return return_failure(arguments, kInvalidKey);
    numbers.push_back(to_number(bytes.bytes()));
    if (numbers.back() == nullptr || OSSL_PARAM_BLD_push_BN(builder.get(), kNumbers[i], numbers.back().get()) != 1) {
      return return_failure(arguments, kInvalidKey);
    }
  }
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  const bool is_public = count == kPublicNumbers;
  EVP_PKEY* made = nullptr;
  if (parameters == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, is_public ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR, parameters.get()) !=
          1) {
    return return_failure(arguments, kInvalidKey);
  }
  Key key(made);
  if (!is_valid(made, KeyKind::rsa, is_public ? KeyPart::public_part : KeyPart::private_part)) {
    return return_failure(arguments, kInvalidKey);
  }
  return_key(arguments, std::move(key));
}

void rsa_numbers(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  std::vector<v8::Local<v8::Value>> numbers;
  for (std::uint32_t i = 0; i < uint32_at(arguments, 1) && i < kNumbers.size(); ++i) {
    const BigNumber number = number_of(key_at(arguments, 0), kNumbers[i]);
    if (number == nullptr) return;
    Output output(arguments, static_cast<std::size_t>(BN_num_bytes(number.get())));
    if (!output) return;
    BN_bn2bin(number.get(), output.data());
    numbers.push_back(output.buffer());
  }
  arguments.GetReturnValue().Set(v8::Array::New(isolate, numbers.data(), numbers.size()));
}

// Sets the padding of a signature up.
bool set_padding(EVP_PKEY_CTX* context, const Arguments& arguments) {
  if (arguments[1]->IsNull()) return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  // Converted to an int, it could be one of libcrypto's special values.
  const std::uint32_t salt = uint32_at(arguments, 1);
  return salt <= kMaxModulusBytes && EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, static_cast<int>(salt)) == 1;
}

void rsa_sign(const Arguments& arguments) {
  EVP_PKEY* key = key_at(arguments, 0);
  const char* digest = EVP_MD_get0_name(digest_of(digest_at(arguments, 2)));
  const Input data(arguments[3]);
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* padding = nullptr;
  std::array<std::uint8_t, kMaxModulusBytes> signature;
  std::size_t size = signature.size();
  if (context == nullptr ||
      EVP_DigestSignInit_ex(context.get(), &padding, digest, nullptr, nullptr, key, nullptr) != 1 ||
      !set_padding(padding, arguments) ||
      EVP_DigestSign(context.get(), signature.data(), &size, data.data(), data.size()) != 1) {
    return return_failure(arguments, "the data could not be signed: the modulus may be too short for hash and salt");
  }
  return_bytes(arguments, std::span(signature).first(size));
}

void rsa_verify(const Arguments& arguments) {
  EVP_PKEY* key = key_at(arguments, 0);
  const char* digest = EVP_MD_get0_name(digest_of(digest_at(arguments, 2)));
  const Input data(arguments[3]), signature(arguments[4]);
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* padding = nullptr;
  if (context == nullptr ||
      EVP_DigestVerifyInit_ex(context.get(), &padding, digest, nullptr, nullptr, key, nullptr) != 1) {
    return return_failure(arguments, "the signature could not be checked");
  }
  const bool holds = set_padding(padding, arguments) &&
                     EVP_DigestVerify(context.get(), signature.data(), signature.size(), data.data(), data.size()) == 1;
  if (!holds) forget_failure();
  arguments.GetReturnValue().Set(holds);
}

bool set_label(EVP_PKEY_CTX* context, const Input& label) {
  if (label.size() == 0) return true;
  // libcrypto takes ownership if it accepts the label.
  void* copy = OPENSSL_memdup(label.data(), label.size());
  if (copy == nullptr) return false;
  if (EVP_PKEY_CTX_set0_rsa_oaep_label(context, copy, static_cast<int>(label.size())) == 1) return true;
  OPENSSL_free(copy);
  return false;
}

void rsa_oaep(const Arguments& arguments) {
  const bool encrypt = arguments[0]->IsTrue();
  const EVP_MD* digest = digest_of(digest_at(arguments, 2));
  const Input label(arguments[3]), data(arguments[4]);
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key_at(arguments, 1), nullptr));
  std::array<std::uint8_t, kMaxModulusBytes> result;
  std::size_t size = result.size();
  const auto initialise = encrypt ? EVP_PKEY_encrypt_init : EVP_PKEY_decrypt_init;
  const auto run = encrypt ? EVP_PKEY_encrypt : EVP_PKEY_decrypt;
  if (context == nullptr || label.size() > INT_MAX || initialise(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) != 1 ||
      EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), digest) != 1 ||
      EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), digest) != 1 || !set_label(context.get(), label) ||
      run(context.get(), result.data(), &size, data.data(), data.size()) != 1) {
    return return_failure(arguments, encrypt ? "the data could not be encrypted: the modulus may be too short for it"
                                             : "the data could not be decrypted");
  }
  return_bytes(arguments, std::span(result).first(size));
}

constexpr NativeFunction kRsaFunctions[] = {
    {"rsaGenerate", rsa_generate}, {"rsaImport", rsa_import}, {"rsaNumbers", rsa_numbers},
    {"rsaSign", rsa_sign},         {"rsaVerify", rsa_verify}, {"rsaOaep", rsa_oaep},
};

}  // namespace

std::span<const NativeFunction> rsa_functions() { return kRsaFunctions; }

}  // namespace holdfast::worker::crypto
