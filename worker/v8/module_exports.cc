#include "worker/v8/module_exports.h"

#include <fmt/format.h>

#include <iterator>

#include "ipc/worker_messages.h"
#include "worker/v8/text.h"

namespace holdfast::worker {
namespace {

constexpr std::size_t kMaxTypeBytes = 32;

}  // namespace

tl::expected<void, std::string> ModuleExports::take(v8::Local<v8::Value> exports, ModuleFormat format) {
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(isolate_);
  const auto type_of = [this](v8::Local<v8::Value> value) {
    return value->IsNull() ? "null" : to_utf8(isolate_, value->TypeOf(isolate_), kMaxTypeBytes);
  };
  format_ = format;
  if (!exports->IsObject()) {
    return tl::unexpected(
        fmt::format("module.exports must be an object whose properties are functions, or a function, but it is {}",
                    type_of(exports)));
  }
  exports_.Reset(isolate_, exports.As<v8::Object>());
  if (format == ModuleFormat::common_js) return {};
  v8::Local<v8::Array> names;
  v8::Local<v8::Value> value;
  v8::Local<v8::String> key = engine_.string("default");
  v8::Local<v8::Object> namespace_object = exports.As<v8::Object>();
  if (namespace_object->GetOwnPropertyNames(context).ToLocal(&names) && names->Length() == 1 &&
      namespace_object->HasOwnProperty(context, key).FromMaybe(false) &&
      namespace_object->Get(context, key).ToLocal(&value) && !value->IsObject()) {
    return tl::unexpected(
        fmt::format("the default export must be an object whose properties are functions, or a function, but it is {}",
                    type_of(value)));
  }
  return {};
}

// The default export, if it is an object: the functions may be its own properties, too. It is that of an ES module,
// or of the CommonJS that a compiler has made of one.
std::optional<v8::Local<v8::Object>> ModuleExports::default_export() {
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::Object> exports = exports_.Get(isolate_);
  v8::Local<v8::String> key = engine_.string("default");
  v8::Local<v8::Value> value;
  if (format_ == ModuleFormat::common_js) {
    if (!exports->Get(context, engine_.string("__esModule")).ToLocal(&value) || !value->IsTrue()) return std::nullopt;
  }
  if (!exports->HasOwnProperty(context, key).FromMaybe(false)) return std::nullopt;
  if (!exports->Get(context, key).ToLocal(&value) || !value->IsObject()) return std::nullopt;
  return value.As<v8::Object>();
}

std::optional<ModuleExports::Function> ModuleExports::find(std::string_view name) {
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::String> key = engine_.string(name);
  const auto find_in = [&](v8::Local<v8::Object> in) -> v8::MaybeLocal<v8::Function> {
    if (!in->HasOwnProperty(context, key).FromMaybe(false)) return {};
    v8::Local<v8::Value> value;
    if (!in->Get(context, key).ToLocal(&value) || !value->IsFunction()) return {};
    return value.As<v8::Function>();
  };
  v8::Local<v8::Object> exports = exports_.Get(isolate_);
  v8::Local<v8::Value> undefined = v8::Undefined(isolate_);
  v8::Local<v8::Function> function;
  if (find_in(exports).ToLocal(&function)) {
    return Function{format_ == ModuleFormat::es_module ? undefined : exports.As<v8::Value>(), function};
  }
  const auto by_default = default_export();
  if (by_default && find_in(*by_default).ToLocal(&function)) return Function{*by_default, function};
  if (name == ipc::kDefaultFunction && exports->IsFunction()) return Function{undefined, exports.As<v8::Function>()};
  return std::nullopt;
}

bool ModuleExports::is_class(v8::Local<v8::Function> function) {
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Value> argument[] = {function};
  v8::Local<v8::Value> is_one;
  return engine_.runtime()
             .is_class.Get(isolate_)
             ->Call(engine_.context(), v8::Undefined(isolate_), 1, argument)
             .ToLocal(&is_one) &&
         is_one->IsTrue();
}

std::string ModuleExports::names_instead_of(std::string_view name, std::size_t max_bytes) {
  v8::TryCatch failure(isolate_);
  const auto by_default = default_export();
  v8::Local<v8::Value> arguments[] = {
      exports_.Get(isolate_), by_default ? by_default->As<v8::Value>() : v8::Undefined(isolate_).As<v8::Value>(),
      v8::Boolean::New(isolate_, format_ == ModuleFormat::es_module), engine_.string(name)};
  v8::Local<v8::Value> exported;
  if (!engine_.runtime()
           .missing_export.Get(isolate_)
           ->Call(engine_.context(), v8::Undefined(isolate_), static_cast<int>(std::size(arguments)), arguments)
           .ToLocal(&exported)) {
    return "names that cannot be listed";
  }
  return to_utf8(isolate_, exported, max_bytes);
}

}  // namespace holdfast::worker
