#include "worker/crypto/crypto.h"

#include "worker/crypto/library.h"
#include "worker/crypto/native.h"
#include "worker/crypto/once.h"

namespace holdfast::worker {

void install_crypto(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> host) {
  using namespace crypto;
  use_own_once();
  set_up_library();
  install_output(isolate, context);
  install_key_handles(isolate);
  v8::Local<v8::Object> functions = v8::Object::New(isolate);
  for (const auto family :
       {byte_functions(), random_functions(), digest_functions(), aes_functions(), derivation_functions(),
        key_functions(), rsa_functions(), elliptic_functions(), octet_key_pair_functions()}) {
    for (const NativeFunction& function : family) {
      functions
          ->Set(context, v8::String::NewFromUtf8(isolate, function.name).ToLocalChecked(),
                v8::Function::New(context, function.callback, {}, 0, v8::ConstructorBehavior::kThrow).ToLocalChecked())
          .Check();
    }
  }
  host->Set(context, v8::String::NewFromUtf8Literal(isolate, "crypto"), functions).Check();
}

}  // namespace holdfast::worker
