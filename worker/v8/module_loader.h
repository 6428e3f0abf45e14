// Compiles a module's text as CommonJS or as an ES module, told apart as Node.js does it. Knows nothing of calls.
#pragma once

#include <v8.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <tl/expected.hpp>

namespace holdfast::worker {

class Engine;

// Exactly one of the two is set.
struct CompiledModule {
  // The module function of CommonJS: (exports, require, module, __filename, __dirname).
  v8::Local<v8::Function> common_js;
  v8::Local<v8::Module> es_module;
};

struct CompileFailure {
  v8::Local<v8::Value> thrown;
  v8::Local<v8::Message> place;
};

// A file name that ends in `.cjs` means CommonJS, in `.mjs` an ES module. Any other file is compiled as CommonJS and,
// if that fails and the text looks like an ES module, as an ES module. On failure, returns the error of the format
// that the text is most likely in.
tl::expected<CompiledModule, CompileFailure> compile_module(Engine& engine, v8::Local<v8::String> source,
                                                            v8::Local<v8::String> file_name);

// A static import declaration. Modules must not have one, because there is nothing to import.
struct StaticImport {
  v8::Local<v8::String> specifier;
  int line = 0;    // from 1 on
  int column = 0;  // from 1 on
};
// The first one in the module's text; nothing if there is none.
std::optional<StaticImport> first_static_import(v8::Local<v8::Context> context, v8::Local<v8::Module> module);

// Numbered as `missingModule` in runtime/modules.js expects.
enum class ImportedBy : std::int32_t { require_call, static_import, import_call };

// Makes the error that says that there is no such module, and what to do. Empty if that threw in turn.
v8::MaybeLocal<v8::Value> missing_module(Engine& engine, v8::Local<v8::Value> specifier, ImportedBy by);

// Sets V8's callbacks for `import()` and `import.meta`. Call it once for each isolate.
void install_import_callbacks(v8::Isolate* isolate);

}  // namespace holdfast::worker
