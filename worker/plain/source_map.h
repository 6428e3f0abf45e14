// Reads the source map that a bundler or compiler has put at the end of a module's text (ECMA-426), and finds the
// original of a place in a stack. Knows no V8, allocates little beyond the map itself, and is fast enough for the few
// milliseconds that a worker has for its fatal report.
//
// A map is as hostile as its module. A broken map yields nothing, or nonsense, but never an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::worker {

// The last line of `source`, if it is `//# sourceMappingURL=data:application/json;base64,…`. Only white space may
// follow it. JavaScript code is never mistaken for it: the text means the same without the line.
struct InlineSourceMap {
  std::size_t begins_at = 0;  // offset of the comment
  std::string_view base64;
};
std::optional<InlineSourceMap> find_inline_source_map(std::string_view source);

class SourceMap {
 public:
  explicit SourceMap(std::string base64) : text_(std::move(base64)) {}
  SourceMap(const SourceMap&) = delete;  // string views refer to text_
  SourceMap& operator=(const SourceMap&) = delete;

  struct Place {
    std::string source;
    std::uint32_t line = 0;    // from 1 on, as all lines and columns here
    std::uint32_t column = 0;  // in UTF-16 code units
  };

  // The original of this place in the module's text; nothing if unknown. The first call decodes the map.
  std::optional<Place> find(std::uint32_t line, std::uint32_t column);

  // The original name of the token at exactly this place; empty if unknown.
  std::string name_at(std::uint32_t line, std::uint32_t column);

  // A line of an original file; nothing if the map does not contain the files' texts.
  std::optional<std::string> source_line(std::string_view source, std::uint32_t line);

  // Whether the map is decoded, so that find() returns at once. Decoding takes some nanoseconds for each of bytes().
  bool is_decoded() const { return decoded_; }
  std::size_t bytes() const { return text_.size(); }

 private:
  // All are counted from 0. Each is a sum of differences that the map chose, and may have any value.
  struct Segment {
    std::int64_t generated_line = 0;
    std::int64_t generated_column = 0;
    std::int64_t source = 0;
    std::int64_t line = 0;
    std::int64_t column = 0;
    std::int64_t name = 0;
    bool has_source = false;
    bool has_name = false;
  };
  struct Checkpoint {
    std::size_t at;  // in mappings_
    Segment before;
  };

  void decode();
  bool decode_base64();
  bool read_json();
  void set_checkpoints();
  bool step(std::size_t& at, Segment& segment) const;
  std::optional<Segment> segment_at(std::uint32_t line, std::uint32_t column);
  std::string source_name(std::int64_t source) const;

  std::string text_;  // base64 first, then JSON
  bool decoded_ = false;
  // In text_, with JSON's escapes.
  std::string_view mappings_, root_;
  std::vector<std::string_view> sources_, contents_, names_;
  std::vector<Checkpoint> checkpoints_;
};

}  // namespace holdfast::worker
