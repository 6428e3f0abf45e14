#include "tools/cli/bench/payload_text.h"

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

namespace holdfast::cli::bench {
namespace {

// Splitmix64 (Steele, Lea and Flood, 2014): pseudo-random numbers that are the same in every run.
class Numbers {
 public:
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

 private:
  std::uint64_t state_ = 0;
};

std::string word(Numbers& numbers) {
  constexpr std::string_view kSyllables[] = {"ba", "ce", "do", "fi", "gu", "ha", "je", "ko",
                                             "li", "mu", "na", "pe", "ro", "si", "tu", "ve"};
  std::string text;
  const std::uint64_t syllables = 2 + numbers.below(3);
  for (std::uint64_t i = 0; i < syllables; ++i) text += kSyllables[numbers.below(std::size(kSyllables))];
  return text;
}

std::string function_text(Numbers& numbers, std::size_t i) {
  return fmt::format(R"js(
function {0}{1}(values, options = {{}}) {{
  const {{ limit = {2}, factor = {3} }} = options;
  let {0} = {4}, rejected = [];
  for (const [index, value] of values.entries()) {{
    if (typeof value !== 'number' || Number.isNaN(value)) {{ rejected.push(`${{index}}: {5}`); continue; }}
    {0} += index % {6} === 0 ? value * factor : Math.max(value, {7}) - limit;
  }}
  if (rejected.length > limit) throw new RangeError('{8}: ' + rejected.join(', '));
  return {{ {0}, rejected, checked: values.length }};
}}
)js",
                     word(numbers), i, numbers.below(1000), numbers.below(100), numbers.below(10), word(numbers),
                     2 + numbers.below(9), numbers.below(500), word(numbers));
}

std::string class_text(Numbers& numbers, std::size_t i) {
  return fmt::format(R"js(
class {0}{1} {{
  #{2} = new Map();
  constructor(name = '{3}', depth = {4}) {{ this.name = name; this.depth = depth; }}
  get size() {{ return this.#{2}.size + this.depth; }}
  set(key, value) {{ this.#{2}.set(String(key).replace(/[{5}]+/g, '{6}'), value ?? this.name); return this; }}
  *{7}() {{ for (const [key, value] of this.#{2}) if (key.length % {8}) yield {{ key, value }}; }}
  async {9}(other) {{ await null; return [...this.{7}(), ...other.{7}()].filter(({{ key }}) => key !== '{3}'); }}
}}
registry.set('{0}{1}', () => new {0}{1}().set('{6}', {4}));
)js",
                     word(numbers), i, word(numbers), word(numbers), numbers.below(50), word(numbers), word(numbers),
                     word(numbers), 2 + numbers.below(5), word(numbers) + "Later");
}

std::string table_text(Numbers& numbers, std::size_t i) {
  std::string rows;
  const std::uint64_t count = 3 + numbers.below(4);
  for (std::uint64_t row = 0; row < count; ++row) {
    rows += fmt::format("  {{ id: {}, name: '{} {}', weights: [{}, {}.{}], tags: ['{}'] }},\n", numbers.below(1000000),
                        word(numbers), word(numbers), numbers.below(100), numbers.below(10), numbers.below(1000),
                        word(numbers));
  }
  const std::string name = word(numbers);
  return fmt::format("\nconst {0}{1} = [\n{2}];\nregistry.set('{0}{1}', () => {0}{1}.map(({{ id }}) => id));\n", name,
                     i, rows);
}

}  // namespace

std::string json_of_size(std::size_t size) {
  constexpr std::string_view kEnd = R"(],"rest":")";
  constexpr std::string_view kClose = R"("})";
  Numbers numbers;
  std::string json;
  for (;;) {
    const std::string record =
        fmt::format(R"({{"id":{},"name":"{} {}","price":{}.{},"stocked":{},"tags":["{}","{}"]}})",
                    numbers.below(1000000), word(numbers), word(numbers), numbers.below(1000), 1 + numbers.below(9),
                    numbers.below(2) == 0, word(numbers), word(numbers));
    const std::string_view begin = json.empty() ? R"({"records":[)" : ",";
    if (json.size() + begin.size() + record.size() + kEnd.size() + kClose.size() > size) break;
    json += begin;
    json += record;
  }
  json += json.empty() ? std::string_view(R"({"rest":")") : kEnd;
  if (json.size() + kClose.size() < size) json.append(size - json.size() - kClose.size(), 'x');
  return json.append(kClose);
}

std::string bytes_of_size(std::size_t size) {
  Numbers numbers;
  std::string bytes;
  bytes.reserve(size);
  while (bytes.size() < size) bytes += static_cast<char>(numbers.next() & 0xFF);
  return bytes;
}

std::string module_of_size(std::size_t size) {
  Numbers numbers;
  std::string code = "'use strict';\nconst registry = new Map();\n";
  const std::string end =
      "\nlet built = 0;\nfor (const [i, make] of [...registry.values()].entries()) if (i % 8 === 0 && make()) "
      "built++;\n"
      "exports.built = async () => built;\nexports.add = async ({ a, b }) => a + b;\n";
  for (std::size_t i = 0; code.size() + end.size() < size; ++i) {
    switch (i % 4) {
      case 0:
        code += class_text(numbers, i);
        break;
      case 2:
        code += table_text(numbers, i);
        break;
      default:
        code += function_text(numbers, i);
    }
  }
  return code + end;
}

}  // namespace holdfast::cli::bench
