#include "worker/plain/source_map.h"

#include <algorithm>
#include <limits>

#include "ipc/base/base64.h"
#include "ipc/base/utf.h"

namespace holdfast::worker {
namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n";
constexpr std::size_t kMaxShownBytes = 256;

// The most characters of mappings between two checkpoints, and so the most that a lookup reads.
constexpr std::size_t kCheckpointDistance = 4096;

// Reads JSON (RFC 8259) as far as needed to find the parts of one object. Accepts some texts that are not JSON.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  bool take(char c) {
    skip_white_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  // What is between a string's quotes, with its escapes.
  std::optional<std::string_view> string() {
    if (!take('"')) return std::nullopt;
    const std::size_t begin = at_;
    for (;;) {
      at_ = text_.find_first_of("\"\\", at_);
      if (at_ == std::string_view::npos) break;
      if (text_[at_] == '"') return text_.substr(begin, at_++ - begin);
      at_ += 2;
      if (at_ > text_.size()) break;
    }
    at_ = text_.size();
    return std::nullopt;
  }

  // An array's elements; those that are not strings become empty.
  bool strings(std::vector<std::string_view>& into) {
    if (!take('[')) return false;
    if (take(']')) return true;
    do {
      skip_white_space();
      const bool is_string = at_ < text_.size() && text_[at_] == '"';
      const auto element = is_string ? string() : std::optional<std::string_view>("");
      if (!element || (!is_string && !skip())) return false;
      into.push_back(*element);
    } while (take(','));
    return take(']');
  }

  // Any value, however deep.
  bool skip() {
    std::size_t depth = 0;
    do {
      skip_white_space();
      if (at_ == text_.size()) return false;
      const char c = text_[at_];
      if (c == '"') {
        if (!string()) return false;
      } else if (c == '{' || c == '[') {
        ++depth;
        ++at_;
      } else if (c == '}' || c == ']') {
        if (depth == 0) return false;
        --depth;
        ++at_;
      } else if (c == ',' || c == ':') {
        if (depth == 0) return false;
        ++at_;
      } else {
        at_ = std::min(text_.find_first_of(",:]}\" \t\r\n", at_ + 1), text_.size());
      }
    } while (depth > 0);
    return true;
  }

 private:
  void skip_white_space() { at_ = std::min(text_.find_first_not_of(kWhiteSpace, at_), text_.size()); }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::optional<std::uint32_t> hexadecimal(std::string_view digits) {
  if (digits.size() != 4) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : digits) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<std::uint32_t>(digit);
  }
  return value;
}

// The character of a \u escape. `at` is where its digits begin, and is moved past them.
std::uint32_t escaped_code_point(std::string_view text, std::size_t& at) {
  constexpr std::uint32_t kReplacement = 0xfffd;
  const auto unit = hexadecimal(text.substr(std::min(at, text.size()), 4));
  at += 4;
  if (!unit || (*unit >= 0xdc00 && *unit < 0xe000)) return kReplacement;
  if (*unit < 0xd800 || *unit >= 0xdc00) return *unit;
  if (at > text.size() || !text.substr(at).starts_with("\\u")) return kReplacement;
  const auto low = hexadecimal(text.substr(at + 2, 4));
  if (!low || *low < 0xdc00 || *low >= 0xe000) return kReplacement;
  at += 6;
  return 0x10000 + ((*unit - 0xd800) << 10) + (*low - 0xdc00);
}

// The value of a JSON string, or its beginning: stops at the character `end`, and after max_bytes.
std::string unescaped(std::string_view text, std::size_t max_bytes) {
  std::string value;
  for (std::size_t at = 0; at < text.size() && value.size() < max_bytes;) {
    const char c = text[at++];
    if (c != '\\' || at == text.size()) {
      value += c;
      continue;
    }
    switch (const char escape = text[at++]) {
      case 'n':
        value += '\n';
        break;
      case 't':
        value += '\t';
        break;
      case 'r':
        value += '\r';
        break;
      case 'b':
      case 'f':
        value += ' ';
        break;
      case 'u':
        append_utf8(value, escaped_code_point(text, at));
        break;
      default:
        value += escape;
    }
  }
  return value;
}

// Where the first line of a JSON string ends: at a \n escape, or npos for the end of the string.
std::size_t end_of_line(std::string_view text) {
  for (std::size_t at = text.find('\\'); at < text.size(); at = text.find('\\', at + 2)) {
    if (text.substr(at).starts_with("\\n")) return at;
  }
  return std::string_view::npos;
}

// A name, made fit to be shown in the middle of a line.
std::string shown(std::string_view text) {
  std::string value = unescaped(text, kMaxShownBytes);
  std::ranges::replace_if(
      value, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return value;
}

}  // namespace

std::optional<InlineSourceMap> find_inline_source_map(std::string_view source) {
  constexpr std::string_view kComment = "//# sourceMappingURL=data:application/json;";
  constexpr std::string_view kEncoding = "base64,";
  const std::size_t end = source.find_last_not_of(kWhiteSpace) + 1;  // npos + 1 is 0
  std::size_t begin = end;
  while (begin > 0 && base64_value(source[begin - 1]) >= 0) --begin;
  if (begin == end) {  // padding
    while (begin > 0 && end - begin < 2 && source[begin - 1] == '=') --begin;
    while (begin > 0 && base64_value(source[begin - 1]) >= 0) --begin;
  }
  std::string_view before = source.substr(0, begin);
  const std::string_view base64 = source.substr(begin, end - begin);
  if (!before.ends_with(kEncoding)) return std::nullopt;
  before.remove_suffix(kEncoding.size());
  for (const std::string_view charset : {"charset=utf-8;", "charset=UTF-8;", "charset=utf8;"}) {
    if (before.ends_with(charset)) before.remove_suffix(charset.size());
  }
  if (!before.ends_with(kComment)) return std::nullopt;
  return InlineSourceMap{before.size() - kComment.size(), base64};
}

// --- decoding ------------------------------------------------------------------------------------------------------

void SourceMap::decode() {
  if (decoded_) return;
  decoded_ = true;
  if (decode_base64() && read_json()) set_checkpoints();
}

bool SourceMap::decode_base64() {
  const auto size = decode_base64_in_place({reinterpret_cast<std::uint8_t*>(text_.data()), text_.size()});
  text_.resize(size.value_or(0));
  return size.has_value();
}

bool SourceMap::read_json() {
  JsonReader json(text_);
  if (!json.take('{')) return false;
  do {
    const auto key = json.string();
    if (!key || !json.take(':')) return false;
    std::vector<std::string_view>* const list = *key == "sources"          ? &sources_
                                                : *key == "sourcesContent" ? &contents_
                                                : *key == "names"          ? &names_
                                                                           : nullptr;
    if (list != nullptr) {
      list->clear();
      if (!json.strings(*list)) return false;
    } else if (*key == "mappings") {
      const auto mappings = json.string();
      if (!mappings) return false;
      mappings_ = *mappings;
    } else if (*key == "sourceRoot") {
      if (const auto root = json.string()) {
        root_ = *root;
      } else if (!json.skip()) {
        return false;
      }
    } else if (!json.skip()) {
      return false;
    }
  } while (json.take(','));
  return json.take('}');
}

void SourceMap::set_checkpoints() {
  Segment segment;
  std::size_t last = 0;
  checkpoints_.push_back({0, segment});
  for (std::size_t at = 0; step(at, segment);) {
    if (at - last < kCheckpointDistance) continue;
    checkpoints_.push_back({at, segment});
    last = at;
  }
}

// Reads the next segment. Returns false if there is none, or an invalid one.
bool SourceMap::step(std::size_t& at, Segment& segment) const {
  for (; at < mappings_.size() && (mappings_[at] == ',' || mappings_[at] == ';'); ++at) {
    if (mappings_[at] != ';') continue;
    ++segment.generated_line;
    segment.generated_column = 0;
  }
  std::int64_t* const fields[] = {&segment.generated_column, &segment.source, &segment.line, &segment.column,
                                  &segment.name};
  std::size_t count = 0;
  for (; at < mappings_.size() && base64_value(mappings_[at]) >= 0; ++count) {
    std::int64_t value = 0;
    int digit = 0, shift = 0;
    do {
      if (at == mappings_.size() || shift > 30) return false;
      digit = base64_value(mappings_[at++]);
      if (digit < 0) return false;
      value |= static_cast<std::int64_t>(digit & 0x1f) << shift;
      shift += 5;
    } while ((digit & 0x20) != 0);
    if (count == std::size(fields)) return false;
    *fields[count] += (value & 1) != 0 ? -(value >> 1) : value >> 1;
  }
  segment.has_source = count >= 4;
  segment.has_name = count == 5;
  return count > 0;
}

// --- questions -----------------------------------------------------------------------------------------------------

std::optional<SourceMap::Segment> SourceMap::segment_at(std::uint32_t line, std::uint32_t column) {
  decode();
  if (line == 0 || column == 0 || checkpoints_.empty()) return std::nullopt;
  const auto is_past = [](const Segment& segment, std::uint32_t wanted_line, std::uint32_t wanted_column) {
    const std::int64_t at_line = segment.generated_line + 1, at_column = segment.generated_column + 1;
    return at_line > wanted_line || (at_line == wanted_line && at_column > wanted_column);
  };
  auto next = std::partition_point(checkpoints_.begin() + 1, checkpoints_.end(), [&](const Checkpoint& checkpoint) {
    return !is_past(checkpoint.before, line, column);
  });
  const Checkpoint& start = *(next - 1);
  std::size_t at = start.at;
  Segment segment = start.before, found = segment;
  bool has_found = start.at > 0;
  while (step(at, segment) && !is_past(segment, line, column)) {
    found = segment;
    has_found = true;
  }
  if (!has_found || found.generated_line + 1 != line) return std::nullopt;
  return found;
}

std::optional<SourceMap::Place> SourceMap::find(std::uint32_t line, std::uint32_t column) {
  const auto segment = segment_at(line, column);
  if (!segment || !segment->has_source) return std::nullopt;
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (segment->line < 0 || segment->line >= kMost || segment->column < 0 || segment->column >= kMost) {
    return std::nullopt;
  }
  Place place{source_name(segment->source), static_cast<std::uint32_t>(segment->line + 1),
              static_cast<std::uint32_t>(segment->column + 1)};
  if (place.source.empty()) return std::nullopt;
  return place;
}

std::string SourceMap::name_at(std::uint32_t line, std::uint32_t column) {
  const auto segment = segment_at(line, column);
  if (!segment || !segment->has_name || segment->generated_column + 1 != column) return "";
  if (segment->name < 0 || segment->name >= static_cast<std::int64_t>(names_.size())) return "";
  return shown(names_[static_cast<std::size_t>(segment->name)]);
}

// The file's name relative to the bundle, whose folder is not known here. Steps that lead out of it are left out.
std::string SourceMap::source_name(std::int64_t source) const {
  if (source < 0 || source >= static_cast<std::int64_t>(sources_.size())) return "";
  std::string name = shown(sources_[static_cast<std::size_t>(source)]);
  if (name.empty()) return "";
  if (!root_.empty() && !name.starts_with('/') && name.find("://") == std::string::npos) {
    std::string root = shown(root_);
    if (!root.ends_with('/')) root += '/';
    name.insert(0, root);
  }
  std::string_view kept = name;
  for (;;) {
    if (kept.starts_with("./")) {
      kept.remove_prefix(2);
    } else if (kept.starts_with("../")) {
      kept.remove_prefix(3);
    } else {
      return std::string(kept);
    }
  }
}

std::optional<std::string> SourceMap::source_line(std::string_view source, std::uint32_t line) {
  decode();
  for (std::size_t i = 0; i < std::min(sources_.size(), contents_.size()); ++i) {
    if (contents_[i].empty() || source_name(static_cast<std::int64_t>(i)) != source) continue;
    std::string_view left = contents_[i];
    for (std::uint32_t at = 1; at < line; ++at) {
      const std::size_t end = end_of_line(left);
      if (end == std::string_view::npos) return std::nullopt;
      left.remove_prefix(end + 2);
    }
    left = left.substr(0, end_of_line(left));
    if (left.ends_with("\\r")) left.remove_suffix(2);
    return unescaped(left, left.size());
  }
  return std::nullopt;
}

}  // namespace holdfast::worker
