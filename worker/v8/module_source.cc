#include "worker/v8/module_source.h"

#include <algorithm>
#include <array>

#include "worker/plain/function_name.h"
#include "worker/v8/text.h"

namespace holdfast::worker {
namespace {

// A source map that is not decoded yet is decoded for the fatal report only up to this size, which takes little
// enough time.
constexpr std::size_t kMostBytesAtOnce = std::size_t{1} << 20;

// How much code before and after a function's beginning is searched for its name. A constructor has the name of its
// class, which may begin far above it.
constexpr std::uint64_t kCodeBeforeFunction = std::uint64_t{16} << 10;
constexpr std::size_t kCodeAfterFunction = 512;

// Modules can pass any line and column, by their own CallSites or Error.stack; 0 is none.
std::uint32_t to_place(double number) {
  return number >= 1 && number <= INT32_MAX ? static_cast<std::uint32_t>(number) : 0;
}

}  // namespace

ModuleSource::~ModuleSource() { isolate_->SetPrepareStackTraceCallback(nullptr); }

v8::Local<v8::String> ModuleSource::take(const ipc::LoadRequest& request) {
  file_name_ = request.file_name;
  std::string_view code = ipc::as_text(request.source);
  if (const auto map = find_inline_source_map(code)) {
    map_.emplace(std::string(map->base64));
    code = code.substr(0, map->begins_at);
    isolate_->SetPrepareStackTraceCallback(&ModuleSource::prepare_stack_trace);
  }
  v8::Local<v8::String> text;
  if (!v8::String::NewFromUtf8(isolate_, code.data(), v8::NewStringType::kNormal, static_cast<int>(code.size()))
           .ToLocal(&text)) {
    return {};
  }
  text_.Reset(isolate_, text);
  return text;
}

void ModuleSource::loaded() {
  if (!map_) text_.Reset();
}

v8::Local<v8::String> ModuleSource::text(v8::Local<v8::Value> script) const {
  if (text_.IsEmpty() || !is_module_file(script)) return v8::String::Empty(isolate_);
  return text_.Get(isolate_);
}

v8::MaybeLocal<v8::Value> ModuleSource::prepare_stack_trace(v8::Local<v8::Context> context, v8::Local<v8::Value> error,
                                                            v8::Local<v8::Array> sites) {
  v8::Local<v8::Value> arguments[] = {error, sites};
  v8::Isolate* isolate = context->GetIsolate();
  return Engine::of(isolate).runtime().prepare_stack_trace.Get(isolate)->Call(context, v8::Undefined(isolate), 2,
                                                                              arguments);
}

bool ModuleSource::is_module_file(v8::Local<v8::Value> script) const {
  return script->IsString() && to_utf8(isolate_, script, file_name_.size() + 1) == file_name_;
}

std::optional<SourceMap::Place> ModuleSource::original_place(v8::Local<v8::Value> script, double line, double column) {
  if (!map_ || !is_module_file(script)) return std::nullopt;
  return map_->find(to_place(line), to_place(column));
}

const LineStarts& ModuleSource::line_starts() {
  if (line_starts_) return *line_starts_;
  line_starts_.emplace();
  v8::Local<v8::String> text = text_.Get(isolate_);
  std::array<std::uint16_t, 4096> part;
  const int length = text->Length();
  for (int at = 0; at < length; at += static_cast<int>(part.size())) {
    const int count =
        text->Write(isolate_, part.data(), at, static_cast<int>(part.size()), v8::String::NO_NULL_TERMINATION);
    line_starts_->add({part.data(), static_cast<std::size_t>(std::max(count, 0))});
  }
  return *line_starts_;
}

std::string ModuleSource::original_function_name(v8::Local<v8::String> name, double line, double column) {
  if (!map_ || text_.IsEmpty() || to_place(column) == 0) return "";
  const auto start = line_starts().start_of(to_place(line));
  if (!start) return "";
  v8::Local<v8::String> text = text_.Get(isolate_);
  const std::uint64_t begin = std::uint64_t{*start} + to_place(column) - 1;
  if (begin >= static_cast<std::uint64_t>(text->Length())) return "";
  // V8 names a function such as "exports.f" after what it is assigned to.
  const v8::String::Value whole(isolate_, name);
  const std::u16string_view full(reinterpret_cast<const char16_t*>(*whole), static_cast<std::size_t>(whole.length()));
  const std::u16string_view last = full.substr(full.rfind(u'.') + 1);  // npos + 1 is 0
  const std::uint64_t from = begin - std::min<std::uint64_t>(begin, kCodeBeforeFunction);
  std::u16string code(static_cast<std::size_t>(begin - from) + kCodeAfterFunction, u'\0');
  const int count = text->Write(isolate_, reinterpret_cast<std::uint16_t*>(code.data()), static_cast<int>(from),
                                static_cast<int>(code.size()), v8::String::NO_NULL_TERMINATION);
  code.resize(static_cast<std::size_t>(std::max(count, 0)));
  const auto found = find_function_name(code, static_cast<std::size_t>(begin - from), last);
  if (!found) return "";
  const LineStarts::Place place = line_starts().place_of(static_cast<std::uint32_t>(from + *found));
  const std::string original = map_->name_at(place.line, place.column);
  if (original.empty() || last.size() == full.size()) return original;
  v8::String::Utf8Value before(isolate_, name);
  const std::string_view text_before(*before, static_cast<std::size_t>(before.length()));
  return std::string(text_before.substr(0, text_before.rfind('.') + 1)) + original;
}

bool ModuleSource::can_map_at_once() const { return map_ && (map_->is_decoded() || map_->bytes() <= kMostBytesAtOnce); }

std::vector<ModuleSource::FunctionPlace> ModuleSource::function_places() {
  if (!can_map_at_once()) return {};
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Value> found;
  if (!engine_.runtime()
           .function_places.Get(isolate_)
           ->Call(context, v8::Undefined(isolate_), 0, nullptr)
           .ToLocal(&found) ||
      !found->IsArray()) {
    return {};
  }
  const auto number = [&](v8::Local<v8::Array> from, std::uint32_t at) {
    v8::Local<v8::Value> value;
    return from->Get(context, at).ToLocal(&value) && value->IsInt32() ? value.As<v8::Int32>()->Value() : 0;
  };
  std::vector<FunctionPlace> places;
  const auto frames = found.As<v8::Array>();
  for (std::uint32_t i = 0; i < frames->Length(); ++i) {
    v8::Local<v8::Value> parts;
    if (!frames->Get(context, i).ToLocal(&parts) || !parts->IsArray()) return {};
    const auto list = parts.As<v8::Array>();
    places.push_back({number(list, 0), number(list, 1), number(list, 2), number(list, 3)});
  }
  return places;
}

std::optional<std::string> ModuleSource::original_line(v8::Local<v8::Value> source, double line) {
  if (!map_) return std::nullopt;
  return map_->source_line(to_utf8(isolate_, source, 1024), to_place(line));
}

std::optional<SourceMap::Place> ModuleSource::original_place_at_once(std::string_view script, int line, int column) {
  if (script != file_name_ || !can_map_at_once()) return std::nullopt;
  return map_->find(to_place(line), to_place(column));
}

}  // namespace holdfast::worker
