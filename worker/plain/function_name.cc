#include "worker/plain/function_name.h"

#include <algorithm>

namespace holdfast::worker {
namespace {

constexpr std::size_t kNone = std::u16string_view::npos;

bool is_space(char16_t c) { return c == u' ' || (c >= u'\t' && c <= u'\r') || c == 0xa0 || c == 0xfeff; }

// Whether the character may be part of a name, or of a number, which cannot adjoin a name.
bool is_in_word(char16_t c) {
  return (c >= u'a' && c <= u'z') || (c >= u'A' && c <= u'Z') || (c >= u'0' && c <= u'9') || c == u'$' || c == u'_' ||
         c == u'#' || c == u'\\' || c > 0xa0;
}

class Code {
 public:
  explicit Code(std::u16string_view code) : code_(code) {}

  std::size_t skip_space(std::size_t at) const {
    while (at < code_.size() && is_space(code_[at])) ++at;
    return at;
  }
  std::u16string_view word_at(std::size_t at) const {
    std::size_t end = at;
    while (end < code_.size() && is_in_word(code_[end])) ++end;
    return code_.substr(at, end - at);
  }
  std::size_t skip_space_before(std::size_t at) const {
    while (at > 0 && is_space(code_[at - 1])) --at;
    return at;
  }
  std::u16string_view word_before(std::size_t at) const {
    std::size_t begin = at;
    while (begin > 0 && is_in_word(code_[begin - 1])) --begin;
    return code_.substr(begin, at - begin);
  }
  bool is_before(std::size_t at, char16_t c) const { return at > 0 && code_[at - 1] == c; }

  // `name = ` or `name: ` in front of `at`.
  std::size_t assigned_name(std::size_t at, std::u16string_view name) const {
    at = skip_space_before(at);
    if (word_before(at) == u"async") at = skip_space_before(at - 5);
    while (is_before(at, u'(')) at = skip_space_before(at - 1);
    if (!is_before(at, u'=') && !is_before(at, u':')) return kNone;
    at = skip_space_before(at - 1);
    return word_before(at) == name ? at - name.size() : kNone;
  }

  // The name of the class whose constructor is at `at`.
  std::size_t class_name(std::size_t at, std::u16string_view name) const {
    constexpr std::u16string_view kClass = u"class";
    for (std::size_t found = code_.rfind(kClass, at); found != kNone && found > 0;
         found = code_.rfind(kClass, found - 1)) {
      if (word_at(found) != kClass || is_in_word(code_[found - 1])) continue;
      const std::size_t own = skip_space(found + kClass.size());
      if (word_at(own) == name) return own;
      if (const std::size_t assigned = assigned_name(found, name); assigned != kNone) return assigned;
    }
    return code_.starts_with(kClass) && word_at(skip_space(kClass.size())) == name ? skip_space(kClass.size()) : kNone;
  }

 private:
  const std::u16string_view code_;
};

}  // namespace

std::optional<std::size_t> find_function_name(std::u16string_view text, std::size_t begin, std::u16string_view name) {
  if (begin > text.size() || name.empty()) return std::nullopt;
  constexpr std::u16string_view kBeforeNames[] = {u"async", u"function", u"static", u"get", u"set", u"class"};
  const Code code(text);
  std::size_t at = begin;
  for (;;) {
    at = code.skip_space(at);
    if (at < text.size() && text[at] == u'*') {
      ++at;
      continue;
    }
    const auto word = code.word_at(at);
    if (word == name) return at;
    if (word.empty() || std::ranges::find(kBeforeNames, word) == std::end(kBeforeNames)) break;
    at += word.size();
  }
  std::size_t found = code.assigned_name(begin, name);
  if (found == kNone && code.word_at(at) == u"constructor") found = code.class_name(begin, name);
  return found == kNone ? std::nullopt : std::optional(found);
}

}  // namespace holdfast::worker
