#include "worker/v8/native_structured_clone.h"

#include "worker/v8/native_bytes.h"

namespace holdfast::worker {
namespace {

using Arguments = v8::FunctionCallbackInfo<v8::Value>;

// In the order of the constants in runtime/structured_clone.js.
enum class Kind {
  ordinary,
  array,
  uncloneable,
  date,
  regular_expression,
  boolean_object,
  number_object,
  string_object,
  bigint_object,
  array_buffer,
  typed_array,
  data_view,
  map,
  set,
  error,
  wasm_module,
};

// Objects with other internal slots, besides those that the runtime knows by their prototype.
bool is_uncloneable(v8::Local<v8::Object> object) {
  return object->IsCallable() || object->IsProxy() || object->IsPromise() || object->IsWeakMap() ||
         object->IsWeakSet() || object->IsSymbolObject() || object->IsSharedArrayBuffer() || object->IsMapIterator() ||
         object->IsSetIterator() || object->IsGeneratorObject() || object->IsArgumentsObject() ||
         object->IsModuleNamespaceObject() || object->IsExternal() || object->IsWasmMemoryObject();
}

Kind kind(v8::Local<v8::Object> object) {
  if (object->IsArray()) return Kind::array;
  if (object->IsMap()) return Kind::map;
  if (object->IsSet()) return Kind::set;
  if (object->IsDate()) return Kind::date;
  if (object->IsTypedArray()) return Kind::typed_array;
  if (object->IsArrayBuffer()) return Kind::array_buffer;
  if (object->IsDataView()) return Kind::data_view;
  if (object->IsNativeError()) return Kind::error;
  if (object->IsRegExp()) return Kind::regular_expression;
  if (object->IsBooleanObject()) return Kind::boolean_object;
  if (object->IsNumberObject()) return Kind::number_object;
  if (object->IsStringObject()) return Kind::string_object;
  if (object->IsBigIntObject()) return Kind::bigint_object;
  if (object->IsWasmModuleObject()) return Kind::wasm_module;
  return is_uncloneable(object) ? Kind::uncloneable : Kind::ordinary;
}

void kind_of(const Arguments& arguments) {
  arguments.GetReturnValue().Set(static_cast<std::int32_t>(kind(arguments[0].As<v8::Object>())));
}

void named_keys(const Arguments& arguments) {
  v8::Local<v8::Array> names;
  const auto filter = static_cast<v8::PropertyFilter>(v8::ONLY_ENUMERABLE | v8::SKIP_SYMBOLS);
  if (arguments[0]
          .As<v8::Object>()
          ->GetPropertyNames(arguments.GetIsolate()->GetCurrentContext(), v8::KeyCollectionMode::kOwnOnly, filter,
                             v8::IndexFilter::kSkipIndices)
          .ToLocal(&names)) {
    arguments.GetReturnValue().Set(names);
  }
}

void copy_regexp(const Arguments& arguments) {
  const auto expression = arguments[0].As<v8::RegExp>();
  v8::Local<v8::RegExp> copy;
  if (v8::RegExp::New(arguments.GetIsolate()->GetCurrentContext(), expression->GetSource(), expression->GetFlags())
          .ToLocal(&copy)) {
    arguments.GetReturnValue().Set(copy);
  }
}

void throw_not_transferable(v8::Isolate* isolate) {
  throw_type_error(isolate, "structuredClone: this ArrayBuffer cannot be transferred");
}

void copy_wasm_module(const Arguments& arguments) {
  v8::Local<v8::WasmModuleObject> copy;
  if (v8::WasmModuleObject::FromCompiledModule(arguments.GetIsolate(),
                                               arguments[0].As<v8::WasmModuleObject>()->GetCompiledModule())
          .ToLocal(&copy)) {
    arguments.GetReturnValue().Set(copy);
  }
}

// Refuses buffers that cannot be detached afterwards: before that, a getter may already see the copy.
void share_buffer(const Arguments& arguments) {
  if (!arguments[0]->IsArrayBuffer()) return;
  const auto buffer = arguments[0].As<v8::ArrayBuffer>();
  if (!buffer->IsDetachable()) return throw_not_transferable(arguments.GetIsolate());
  const auto store = buffer->GetBackingStore();
  arguments.GetReturnValue().Set(v8::ArrayBuffer::New(arguments.GetIsolate(), store));
}

void detach_buffer(const Arguments& arguments) {
  if (!arguments[0]->IsArrayBuffer()) return;
  const auto buffer = arguments[0].As<v8::ArrayBuffer>();
  if (buffer->WasDetached()) return arguments.GetReturnValue().Set(false);
  if (!buffer->IsDetachable()) return throw_not_transferable(arguments.GetIsolate());
  buffer->Detach();
  arguments.GetReturnValue().Set(true);
}

void is_detached(const Arguments& arguments) {
  arguments.GetReturnValue().Set(arguments[0].As<v8::ArrayBuffer>()->WasDetached());
}

}  // namespace

void install_structured_clone_functions(v8::Local<v8::Context> context, v8::Local<v8::Object> host) {
  install_native(context, host, "kindOf", kind_of);
  install_native(context, host, "namedKeys", named_keys);
  install_native(context, host, "copyRegExp", copy_regexp);
  install_native(context, host, "copyWasmModule", copy_wasm_module);
  install_native(context, host, "shareBuffer", share_buffer);
  install_native(context, host, "detachBuffer", detach_buffer);
  install_native(context, host, "isDetached", is_detached);
}

}  // namespace holdfast::worker
