// importSpki(kind, bytes), importPkcs8(kind, bytes) -> key or a reason; exportSpki(key), exportPkcs8(key) ->
// ArrayBuffer or a reason; agree(private, public) -> ArrayBuffer or a reason. `kind` is a number of KeyKind.
#include "worker/crypto/key_handle.h"

#include <openssl/core_names.h>
#include <openssl/x509.h>

#include <algorithm>

#include "worker/crypto/key_checks.h"
#include "worker/plain/broken.h"
#include "worker/plain/one_asymmetric_key.h"

namespace holdfast::worker::crypto {
namespace {

// About what libcrypto allocates for a key. Telling V8 makes it collect unused keys sooner.
constexpr std::int64_t kKeyBytes = 4 << 10;

v8::Eternal<v8::ObjectTemplate> key_template;

struct Holder {
  v8::Global<v8::Object> object;
  Key key;
};

void free_holder(const v8::WeakCallbackInfo<Holder>& info) {
  delete info.GetParameter();
  info.GetIsolate()->AdjustAmountOfExternalAllocatedMemory(-kKeyBytes);
}

void on_collected(const v8::WeakCallbackInfo<Holder>& info) {
  info.GetParameter()->object.Reset();
  info.SetSecondPassCallback(free_holder);
}

using PrivateKeyInfo = std::unique_ptr<PKCS8_PRIV_KEY_INFO, FreeWith<PKCS8_PRIV_KEY_INFO_free>>;

// Asks libcrypto's encoder for the size first, and then for the bytes.
template <typename Structure, typename Encode>
void return_encoded(const Arguments& arguments, const Structure* structure, Encode encode) {
  const int size = structure == nullptr ? -1 : encode(structure, nullptr);
  if (size <= 0) return return_failure(arguments, "the key could not be exported");
  Output output(arguments, static_cast<std::size_t>(size));
  if (!output) return;
  std::uint8_t* at = output.data();
  if (encode(structure, &at) != size) return return_failure(arguments, "the key could not be exported");
  arguments.GetReturnValue().Set(output.buffer());
}

void import_spki(const Arguments& arguments) {
  const KeyKind kind = kind_at(arguments, 0);
  const Input input(arguments[1]);
  if (input.size() > kMaxKeyBytes) return return_failure(arguments, kInvalidKey);
  const std::uint8_t* at = input.data();
  Key key(d2i_PUBKEY(nullptr, &at, static_cast<long>(input.size())));
  if (key == nullptr || at != input.data() + input.size() || !is_valid(key.get(), kind, KeyPart::public_part)) {
    return return_failure(arguments, kInvalidKey);
  }
  return_key(arguments, std::move(key));
}

// Returns null if the input is not a key of that kind in the first version of PKCS #8.
Key read_first_version(KeyKind kind, ConstBytes input) {
  const std::uint8_t* at = input.data();
  const PrivateKeyInfo info(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, static_cast<long>(input.size())));
  if (info == nullptr || at != input.data() + input.size()) return nullptr;
  Key key(EVP_PKCS82PKEY(info.get()));
  if (key == nullptr || !is_valid(key.get(), kind, KeyPart::private_part)) return nullptr;
  return key;
}

// Whether `bytes` are the key's public part as X.509 encodes it: the numbers of RSA, or a point of an elliptic curve.
bool is_public_part(const EVP_PKEY* key, KeyKind kind, ConstBytes bytes) {
  if (kind == KeyKind::rsa) {
    const std::uint8_t* at = bytes.data();
    const Key given(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &at, static_cast<long>(bytes.size())));
    return given != nullptr && at == bytes.data() + bytes.size() && EVP_PKEY_eq(given.get(), key) == 1;
  }
  if (is_elliptic(kind)) {
    const Key given = public_elliptic_key(kind, bytes);
    return given != nullptr && EVP_PKEY_eq(given.get(), key) == 1;
  }
  std::array<std::uint8_t, 57> own;  // Ed448 has the longest
  std::size_t size = own.size();
  return EVP_PKEY_get_raw_public_key(key, own.data(), &size) == 1 &&
         std::ranges::equal(bytes, std::span(own).first(size));
}

void import_pkcs8(const Arguments& arguments) {
  const KeyKind kind = kind_at(arguments, 0);
  const Input input(arguments[1]);
  if (input.size() > kMaxKeyBytes) return return_failure(arguments, kInvalidKey);
  const auto second_version = read_one_asymmetric_key(input.bytes());
  Key key = read_first_version(kind, second_version ? ConstBytes(second_version->first_version) : input.bytes());
  if (key == nullptr) return return_failure(arguments, kInvalidKey);
  if (second_version && second_version->public_key && !is_public_part(key.get(), kind, *second_version->public_key)) {
    return return_failure(arguments, kOtherPublicKey);
  }
  return_key(arguments, std::move(key));
}

void export_spki(const Arguments& arguments) { return_encoded(arguments, key_at(arguments, 0), i2d_PUBKEY); }

void export_pkcs8(const Arguments& arguments) {
  const PrivateKeyInfo info(EVP_PKEY2PKCS8(key_at(arguments, 0)));
  return_encoded(arguments, info.get(), i2d_PKCS8_PRIV_KEY_INFO);
}

// Both keys are of the same kind.
void agree(const Arguments& arguments) {
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key_at(arguments, 0), nullptr));
  std::array<std::uint8_t, 66> secret;  // P-521 has the longest
  std::size_t size = secret.size();
  if (context == nullptr || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer(context.get(), key_at(arguments, 1)) != 1 ||
      EVP_PKEY_derive(context.get(), secret.data(), &size) != 1) {
    return return_failure(arguments, "no secret can be derived from the two keys");
  }
  return_bytes(arguments, std::span(secret).first(size));
}

constexpr NativeFunction kKeyHandleFunctions[] = {
    {"importSpki", import_spki},
    {"importPkcs8", import_pkcs8},
    {"exportSpki", export_spki},
    {"exportPkcs8", export_pkcs8},
    {"agree", agree},
};

}  // namespace

const char* type_of(KeyKind kind) {
  switch (kind) {
    case KeyKind::rsa:
      return "RSA";
    case KeyKind::ed25519:
      return "ED25519";
    case KeyKind::x25519:
      return "X25519";
    case KeyKind::ed448:
      return "ED448";
    case KeyKind::x448:
      return "X448";
    case KeyKind::p256:
    case KeyKind::p384:
    case KeyKind::p521:
      return "EC";
  }
  broken("each kind of key has a type of libcrypto's");
}

const char* group_of(KeyKind kind) {
  switch (kind) {
    case KeyKind::p256:
      return "prime256v1";
    case KeyKind::p384:
      return "secp384r1";
    case KeyKind::p521:
      return "secp521r1";
    default:
      broken("group_of() is given the kind of an elliptic curve");
  }
}

bool is_elliptic(KeyKind kind) { return kind == KeyKind::p256 || kind == KeyKind::p384 || kind == KeyKind::p521; }

KeyKind kind_at(const Arguments& arguments, int index) {
  const std::uint32_t number = uint32_at(arguments, index);
  expect(number <= static_cast<std::uint32_t>(KeyKind::x448), "the runtime passes the number of a kind of key");
  return static_cast<KeyKind>(number);
}

EVP_PKEY* key_at(const Arguments& arguments, int index) {
  return static_cast<Holder*>(arguments[index].As<v8::Object>()->GetAlignedPointerFromInternalField(0))->key.get();
}

void return_key(const Arguments& arguments, Key key) {
  v8::Isolate* isolate = arguments.GetIsolate();
  v8::Local<v8::Object> object;
  if (!key_template.Get(isolate)->NewInstance(isolate->GetCurrentContext()).ToLocal(&object)) return;
  auto* holder = new Holder{v8::Global<v8::Object>(isolate, object), std::move(key)};
  object->SetAlignedPointerInInternalField(0, holder);
  holder->object.SetWeak(holder, on_collected, v8::WeakCallbackType::kParameter);
  isolate->AdjustAmountOfExternalAllocatedMemory(kKeyBytes);
  arguments.GetReturnValue().Set(object);
}

BigNumber number_of(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) return nullptr;
  return BigNumber(number);
}

void install_key_handles(v8::Isolate* isolate) {
  v8::Local<v8::ObjectTemplate> made = v8::ObjectTemplate::New(isolate);
  made->SetInternalFieldCount(1);
  key_template.Set(isolate, made);
}

std::span<const NativeFunction> key_functions() { return kKeyHandleFunctions; }

}  // namespace holdfast::worker::crypto
