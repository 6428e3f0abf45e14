#include "worker/v8/module_loader.h"

#include <algorithm>
#include <array>
#include <string>

#include "worker/v8/engine.h"
#include "worker/v8/module_host.h"

namespace holdfast::worker {
namespace {

// V8's errors for a text that is not CommonJS but may be an ES module. containsModuleSyntax of Node.js
// (https://nodejs.org/api/packages.html#syntax-detection) has the same lists.
constexpr std::array<std::string_view, 3> kOnlyInModules = {
    "Cannot use import statement outside a module",
    "Unexpected token 'export'",
    "Cannot use 'import.meta' outside a module",
};
constexpr std::array<std::string_view, 7> kOftenInModules = {
    "Identifier '__filename' has already been declared",
    "Identifier '__dirname' has already been declared",
    "Identifier 'exports' has already been declared",
    "Identifier 'module' has already been declared",
    "Identifier 'require' has already been declared",
    "await is only valid in async functions and the top level bodies of modules",
    "Unexpected reserved word",  // `for await`
};

// Which error to show: that of CommonJS says more than that of an ES module, unless the text cannot be CommonJS.
enum class Syntax { common_js, either, es_module };

Syntax syntax_by(v8::Isolate* isolate, const v8::TryCatch& failure) {
  if (failure.Message().IsEmpty()) return Syntax::common_js;
  const v8::String::Utf8Value text(isolate, failure.Message()->Get());
  if (*text == nullptr) return Syntax::common_js;
  const std::string_view message(*text, static_cast<std::size_t>(text.length()));
  const auto is_said = [&](std::string_view what) { return message.ends_with(what); };
  if (std::ranges::any_of(kOnlyInModules, is_said)) return Syntax::es_module;
  return std::ranges::any_of(kOftenInModules, is_said) ? Syntax::either : Syntax::common_js;
}

enum class Format { common_js, es_module };

v8::ScriptOrigin origin_of(v8::Isolate* isolate, v8::Local<v8::String> file_name, Format format) {
  const bool is_module = format == Format::es_module;
  return {isolate, file_name, 0, 0, false, -1, v8::Local<v8::Value>(), false, false, is_module};
}

v8::MaybeLocal<v8::Module> compile_es_module(v8::Isolate* isolate, v8::Local<v8::String> text,
                                             v8::Local<v8::String> file_name) {
  v8::ScriptCompiler::Source source(text, origin_of(isolate, file_name, Format::es_module));
  return v8::ScriptCompiler::CompileModule(isolate, &source);
}

// The module wrapper (https://nodejs.org/api/modules.html#the-module-wrapper).
v8::MaybeLocal<v8::Function> compile_common_js(Engine& engine, v8::Local<v8::String> text,
                                               v8::Local<v8::String> file_name) {
  v8::Local<v8::String> parameters[] = {engine.string("exports"), engine.string("require"), engine.string("module"),
                                        engine.string("__filename"), engine.string("__dirname")};
  v8::ScriptCompiler::Source source(text, origin_of(engine.isolate(), file_name, Format::common_js));
  return v8::ScriptCompiler::CompileFunctionInContext(engine.context(), &source, std::size(parameters), parameters, 0,
                                                      nullptr);
}

v8::MaybeLocal<v8::Promise> on_import_call(v8::Local<v8::Context> context, v8::Local<v8::Data>, v8::Local<v8::Value>,
                                           v8::Local<v8::String> specifier, v8::Local<v8::FixedArray>) {
  v8::Isolate* isolate = context->GetIsolate();
  v8::Local<v8::Promise::Resolver> resolver;
  v8::Local<v8::Value> error;
  if (!v8::Promise::Resolver::New(context).ToLocal(&resolver) ||
      !missing_module(Engine::of(isolate), specifier, ImportedBy::import_call).ToLocal(&error) ||
      resolver->Reject(context, error).IsNothing()) {
    return {};
  }
  return resolver->GetPromise();
}

// Sets import.meta.url to a URL that others can be relative to. It does not tell where the file lies.
void on_import_meta(v8::Local<v8::Context> context, v8::Local<v8::Module>, v8::Local<v8::Object> meta) {
  v8::Isolate* isolate = context->GetIsolate();
  const ModuleHost* host = Engine::host_of(isolate);
  if (host == nullptr) return;
  constexpr std::string_view kUnescaped =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+@!$&'()*,;=";
  std::string url = "file:///";
  for (const char c : host->loading().source().file_name()) {
    if (kUnescaped.find(c) != std::string_view::npos) {
      url += c;
      continue;
    }
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    url += '%';
    url += kDigits[byte >> 4];
    url += kDigits[byte & 15];
  }
  v8::Local<v8::String> text;
  if (!v8::String::NewFromUtf8(isolate, url.data(), v8::NewStringType::kNormal, static_cast<int>(url.size()))
           .ToLocal(&text)) {
    return;
  }
  meta->CreateDataProperty(context, Engine::of(isolate).string("url"), text).Check();  // the object is new and plain
}

}  // namespace

tl::expected<CompiledModule, CompileFailure> compile_module(Engine& engine, v8::Local<v8::String> source,
                                                            v8::Local<v8::String> file_name) {
  v8::Isolate* isolate = engine.isolate();
  const v8::String::Utf8Value name_text(isolate, file_name);
  const std::string_view name(*name_text == nullptr ? "" : *name_text);
  CompiledModule compiled;
  CompileFailure failure;
  Syntax syntax = Syntax::es_module;
  if (!name.ends_with(".mjs")) {
    const v8::TryCatch as_common_js(isolate);
    if (compile_common_js(engine, source, file_name).ToLocal(&compiled.common_js)) return compiled;
    failure = {as_common_js.Exception(), as_common_js.Message()};
    syntax = name.ends_with(".cjs") ? Syntax::common_js : syntax_by(isolate, as_common_js);
  }
  if (syntax != Syntax::common_js) {
    const v8::TryCatch as_es_module(isolate);
    if (compile_es_module(isolate, source, file_name).ToLocal(&compiled.es_module)) return compiled;
    if (syntax == Syntax::es_module) failure = {as_es_module.Exception(), as_es_module.Message()};
  }
  return tl::unexpected(failure);
}

std::optional<StaticImport> first_static_import(v8::Local<v8::Context> context, v8::Local<v8::Module> module) {
  v8::Local<v8::FixedArray> requests = module->GetModuleRequests();
  std::optional<StaticImport> first;
  int least_offset = 0;
  for (int i = 0; i < requests->Length(); ++i) {
    const auto request = requests->Get(context, i).As<v8::ModuleRequest>();
    if (first && request->GetSourceOffset() >= least_offset) continue;
    least_offset = request->GetSourceOffset();
    v8::Location place = module->SourceOffsetToLocation(least_offset);
    first = StaticImport{request->GetSpecifier(), place.GetLineNumber() + 1, place.GetColumnNumber() + 1};
  }
  return first;
}

v8::MaybeLocal<v8::Value> missing_module(Engine& engine, v8::Local<v8::Value> specifier, ImportedBy by) {
  v8::Local<v8::Value> arguments[] = {specifier, v8::Integer::New(engine.isolate(), static_cast<std::int32_t>(by))};
  return engine.runtime()
      .missing_module.Get(engine.isolate())
      ->Call(engine.context(), v8::Undefined(engine.isolate()), 2, arguments);
}

void install_import_callbacks(v8::Isolate* isolate) {
  isolate->SetHostImportModuleDynamicallyCallback(on_import_call);
  isolate->SetHostInitializeImportMetaObjectCallback(on_import_meta);
}

}  // namespace holdfast::worker
