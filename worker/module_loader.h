// How a module's text becomes code: CommonJS or an ES module, told apart as Node.js does it. Knows nothing of calls.
#pragma once

#include <v8.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <tl/expected.hpp>

namespace holdfast::worker {

class Engine;

// Exactly one is there.
struct CompiledModule {
  // The module function of CommonJS: (exports, require, module, __filename, __dirname).
  v8::Local<v8::Function> common_js;
  v8::Local<v8::Module> es_module;
};

struct CompileFailure {
  v8::Local<v8::Value> thrown;
  v8::Local<v8::Message> place;
};

// By the file's name: `.cjs` is CommonJS, `.mjs` an ES module. Else CommonJS, if that compiles; else an ES module, if
// the text looks like one. The failure is that of the format that the text is most likely in.
tl::expected<CompiledModule, CompileFailure> compile_module(Engine& engine, v8::Local<v8::String> source,
                                                            v8::Local<v8::String> file_name);

// A static import, which no module can have.
struct StaticImport {
  v8::Local<v8::String> specifier;
  int line = 0;    // from 1 on
  int column = 0;  // the same
};
std::optional<StaticImport> first_static_import(v8::Local<v8::Context> context, v8::Local<v8::Module> module);

// Numbers of `missingModule` in runtime/modules.js.
enum class ImportedBy : std::int32_t { require_call, static_import, import_call };

// The error that says that there is no such module, and what to do.
v8::MaybeLocal<v8::Value> missing_module(Engine& engine, v8::Local<v8::Value> specifier, ImportedBy by);

// What V8 asks for `import()` and `import.meta`. Once in a process.
void install_import_callbacks(v8::Isolate* isolate);

}  // namespace holdfast::worker
