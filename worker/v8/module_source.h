// A module's text and its source map: what V8 is given to compile, and where a place in that text comes from.
#pragma once

#include <v8.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/worker_messages.h"
#include "worker/plain/line_starts.h"
#include "worker/plain/source_map.h"
#include "worker/v8/engine.h"

namespace holdfast::worker {

class ModuleSource {
 public:
  // `engine` must outlive this object. There is at most one at a time.
  explicit ModuleSource(Engine& engine) : engine_(engine), isolate_(engine.isolate()) {}
  ~ModuleSource();
  ModuleSource(const ModuleSource&) = delete;
  ModuleSource& operator=(const ModuleSource&) = delete;

  // Takes the source map off, which may be the larger part of the text, and returns the rest for V8. Empty if that is
  // too long for V8. A module without a map costs nothing more. Call it once.
  v8::Local<v8::String> take(const ipc::LoadRequest& request);
  // The module is loaded: its text is kept only if there is a source map.
  void loaded();

  std::string_view file_name() const { return file_name_; }
  // The module's text, if the script of this name is the module, and it is being loaded or has a source map.
  // Otherwise "".
  v8::Local<v8::String> text(v8::Local<v8::Value> script) const;

  // The original place of a place in the script of this name, by the module's source map. Nothing if that script is
  // not the module, if there is no map, or if the map does not know the place.
  std::optional<SourceMap::Place> original_place(v8::Local<v8::Value> script, double line, double column);
  // The original name of the function that is called `name` and begins at this place in the module's text; "" if
  // unknown.
  std::string original_function_name(v8::Local<v8::String> name, double line, double column);
  // A line of an original file; nothing if there is no map, or if the map does not contain that file's text.
  std::optional<std::string> original_line(v8::Local<v8::Value> source, double line);

  // original_place() for the fatal report, which has little time. Also returns nothing if decoding the source map
  // would take more than a moment.
  std::optional<SourceMap::Place> original_place_at_once(std::string_view script, int line, int column);

  // For the fatal report: where the code is in each frame of the stack, and where that frame's function begins. Runs
  // JavaScript of the runtime but none of the module's. Changes what the module's errors say, so that the process
  // must end. Empty if there is no source map that original_place_at_once() would use, or if the stack cannot be
  // taken.
  struct FunctionPlace {
    int line, column, begin_line, begin_column;
  };
  std::vector<FunctionPlace> function_places();

 private:
  static v8::MaybeLocal<v8::Value> prepare_stack_trace(v8::Local<v8::Context> context, v8::Local<v8::Value> error,
                                                       v8::Local<v8::Array> sites);
  // Whether a script of this name is the module's text.
  bool is_module_file(v8::Local<v8::Value> script) const;
  bool can_map_at_once() const;
  const LineStarts& line_starts();

  Engine& engine_;
  v8::Isolate* const isolate_;
  std::string file_name_;
  // The module's text, which V8 keeps anyway.
  v8::Global<v8::String> text_;
  std::optional<SourceMap> map_;
  std::optional<LineStarts> line_starts_;  // in text_; nothing: not needed yet
};

}  // namespace holdfast::worker
