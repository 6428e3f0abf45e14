// The source map that a bundler or compiler has put at the end of a module's text (ECMA-426), and what it says of a
// place in a stack. Knows no V8, allocates little beyond the map itself, and is quick enough for the few milliseconds
// that a worker has for its last words.
//
// A map is as hostile as its module: one that is broken says nothing, or nonsense; it never fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::worker {

// Where the last line of `source` is `//# sourceMappingURL=data:application/json;base64,…`: its base64. Only white
// space may follow, and nothing that is JavaScript is ever taken for it: what is left without it means the same.
struct InlineSourceMap {
  std::size_t begins_at = 0;  // the comment
  std::string_view base64;
};
std::optional<InlineSourceMap> find_inline_source_map(std::string_view source);

class SourceMap {
 public:
  explicit SourceMap(std::string base64) : text_(std::move(base64)) {}
  SourceMap(const SourceMap&) = delete;  // parts of text_ are known by their place
  SourceMap& operator=(const SourceMap&) = delete;

  struct Place {
    std::string source;
    std::uint32_t line = 0;    // from 1 on, as all lines and columns here
    std::uint32_t column = 0;  // in UTF-16 code units
  };

  // What was written at this place of the module's text. The first question decodes the map.
  std::optional<Place> find(std::uint32_t line, std::uint32_t column);

  // The original name of what stands exactly here; empty: unknown.
  std::string name_at(std::uint32_t line, std::uint32_t column);

  // A line of an original file, where the map has the files' contents.
  std::optional<std::string> source_line(std::string_view source, std::uint32_t line);

  // Whether find() will answer at once. If not, decoding takes some nanoseconds for each of bytes().
  bool is_decoded() const { return decoded_; }
  std::size_t bytes() const { return text_.size(); }

 private:
  // All counted from 0; a sum of differences that the map chose.
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
