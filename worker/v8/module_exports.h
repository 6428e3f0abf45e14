// What a module exports: its namespace, or the value of module.exports. The exports are the module's, which may put
// getters and proxies among them.
#pragma once

#include <v8.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "worker/v8/engine.h"

namespace holdfast::worker {

enum class ModuleFormat { common_js, es_module };

class ModuleExports {
 public:
  // `engine` must outlive this object.
  explicit ModuleExports(Engine& engine) : engine_(engine), isolate_(engine.isolate()) {}

  // Takes what the module exports. The error says to its author why functions cannot be found there.
  tl::expected<void, std::string> take(v8::Local<v8::Value> exports, ModuleFormat format);

  // A function, and the receiver to call it on.
  struct Function {
    v8::Local<v8::Value> receiver;
    v8::Local<v8::Function> function;
  };
  // Finds a function among the own properties of the exports. What every object inherits ("constructor", "toString")
  // is not exported. A named export of an ES module is called without a receiver; a property of CommonJS exports, or
  // of a default export, is called on that object. Exports that are a function themselves are called "default", the
  // name by which Node.js imports them. Nothing if there is no such function, or if a getter threw; the exception is
  // then the caller's to catch.
  std::optional<Function> find(std::string_view name);

  // Whether the function is a class, which cannot be called.
  bool is_class(v8::Local<v8::Function> function);

  // The names that are exported, for the error of a call to `name`, which is not among them; at most `max_bytes`.
  std::string names_instead_of(std::string_view name, std::size_t max_bytes);

 private:
  std::optional<v8::Local<v8::Object>> default_export();

  Engine& engine_;
  v8::Isolate* const isolate_;
  v8::Global<v8::Object> exports_;
  ModuleFormat format_ = ModuleFormat::common_js;
};

}  // namespace holdfast::worker
