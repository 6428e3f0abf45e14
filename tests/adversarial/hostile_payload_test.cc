// Structured payloads that no serializer would write, in real calls: V8's deserializer reads them in the worker. Each
// call has one answer, and the worker goes on.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>

#include "tests/adversarial/hostile.h"

namespace holdfast::test {
namespace {

// Reads everything in its payload that a module can reach.
constexpr const char* kWalk = R"js(
    const walk = (root) => {
      const seen = new Set(), left = [root];
      let count = 0;
      while (left.length !== 0 && count < 5000) {
        const value = left.pop();
        count++;
        if ((typeof value !== 'object' && typeof value !== 'function') || value === null) { `${typeof value === 'symbol' ? '' : value}`; continue; }
        if (seen.has(value)) continue;
        seen.add(value);
        if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
          for (let i = 0; i < value.length && i < 5000; i++) value[i] = value[value.length - 1 - i];
          value.fill(value[0]);
          left.push(value.buffer);
          continue;
        }
        if (value instanceof DataView) { for (let i = 0; i < value.byteLength; i++) value.setInt8(i, value.getInt8(value.byteLength - 1)); continue; }
        if (value instanceof ArrayBuffer) { left.push(new Uint8Array(value)); value.slice(0); continue; }
        if (value instanceof Map) for (const [key, item] of value) left.push(key, item);
        if (value instanceof Set) left.push(...value);
        if (value instanceof RegExp) value.exec('aab');
        if (value instanceof Date) value.getFullYear();
        if (value instanceof Error) left.push(value.stack, value.message, value.name, value.cause);
        left.push(value.valueOf(), value.length);
        for (const key of Object.keys(value)) left.push(value[key]);
        if (Array.isArray(value) && value.length < 5000) { value.push(1); value.reverse(); value.sort(() => 0); }
      }
      return count;
    };
    exports.one = (payload) => { walk(payload); return 'seen'; };
    exports.all = (...values) => { values.pop(); walk(values); return 'seen'; };
    exports.clone = (payload) => { structuredClone(payload); return 'seen'; };
    exports.same = (payload) => payload;
)js";

// Generates data that resembles the format of V8's ValueSerializer: mostly right, with errors in every possible place.
class Generator {
 public:
  explicit Generator(std::uint32_t seed) : random_(seed) {}

  std::string payload() {
    bytes_ = {'\xFF', static_cast<char>(is_rare(20) ? below(256) : 13 + below(2))};
    value(0);
    for (std::size_t changes = below(4); is_rare(3) && changes > 0; --changes) {
      const std::size_t at = below(bytes_.size());
      if (is_rare(2))
        bytes_[at] = static_cast<char>(below(256));
      else if (is_rare(2))
        bytes_.erase(at, 1 + below(4));
      else
        bytes_.insert(at, 1, static_cast<char>(below(256)));
      if (bytes_.empty()) bytes_ = "\xFF";
    }
    return bytes_;
  }

  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }

 private:
  bool is_rare(std::size_t one_in) { return below(one_in) == 0; }

  void tag(char tag) { bytes_ += tag; }

  void varint(std::uint64_t number) {
    for (; number >= 0x80; number >>= 7) bytes_ += static_cast<char>(number | 0x80);
    bytes_ += static_cast<char>(number);
  }

  // Writes the right count, or now and then a wrong one.
  void count(std::uint64_t right) {
    constexpr std::uint64_t kOdd[] = {0,          1,          0x7f,       0xffff,      0x3fffffff,
                                      0x7fffffff, 0x80000000, 0xffffffff, 0x1ffffffff, ~0ULL};
    varint(is_rare(25) ? kOdd[below(std::size(kOdd))] : right);
  }

  void raw(std::size_t size) {
    for (; size > 0; --size) bytes_ += static_cast<char>(below(256));
  }

  void text() {
    static constexpr std::string_view kTexts[] = {
        "", "a", "length", "__proto__", "constructor", "0", "4294967295", "stack", "then", "(a+)+", "[", "toString"};
    const std::string_view text = kTexts[below(std::size(kTexts))];
    if (is_rare(4)) {
      if (is_rare(2)) bytes_ += '\0';
      tag('c');
      count(2 * text.size());
      for (const char c : text) bytes_.append({c, is_rare(9) ? '\xD8' : '\0'});
    } else {
      tag(is_rare(5) ? 'S' : '"');
      count(text.size());
      bytes_ += text;
    }
  }

  void properties(int depth, char end) {
    std::size_t number = below(4);
    for (std::size_t i = 0; i < number; ++i) {
      if (is_rare(12))
        value(depth);
      else if (is_rare(4)) {
        tag('I');
        count(2 * below(5));
      } else
        text();
      value(depth);
    }
    tag(end);
    count(number);
  }

  void view() {
    static constexpr std::string_view kKinds = "bBCwWdDfFqQ?hxX";
    tag('V');
    tag(kKinds[below(kKinds.size())]);
    count(8 * below(3));
    count(8 * below(4));
    if (bytes_[1] == 14 || is_rare(9)) count(is_rare(9) ? below(8) : 0);
  }

  void error() {
    static constexpr std::string_view kPrototypes = "ERFSTU";
    tag('r');
    for (std::size_t parts = below(5); parts > 0; --parts) {
      switch (below(4)) {
        case 0:
          tag(kPrototypes[below(kPrototypes.size())]);
          break;
        case 1:
          tag('m');
          is_rare(6) ? value(7) : text();
          break;
        case 2:
          tag('s');
          is_rare(6) ? value(7) : text();
          break;
        default:
          tag('c');
          value(7);
      }
    }
    if (!is_rare(15)) tag('.');
  }

  void value(int depth) {
    static constexpr std::string_view kLeaves = "-_0TFIUNZScyxnzsD^";
    static constexpr std::string_view kTrees = "oaA;'BVrR";
    static constexpr std::string_view kRefused = "\\utwmpMbi?~#";
    if (is_rare(60)) return tag(kRefused[below(kRefused.size())]), raw(below(6));
    if (depth > 6 || is_rare(2)) {
      const char leaf = kLeaves[below(kLeaves.size())];
      switch (leaf) {
        case 'S':
        case 'c':
          return text();
        case 'I':
        case 'U':
          tag(leaf);
          return count(below(1000));
        case 'N':
        case 'n':
        case 'D':
          tag(leaf);
          return raw(8);
        case 'Z':
        case 'z': {
          tag(leaf);
          const std::size_t words = below(4);
          count(words << 4 | below(2));
          return raw(8 * words);
        }
        case 's':
          tag(leaf);
          return text();
        case '^':
          tag(leaf);
          return count(below(12));
        default:
          return tag(leaf);
      }
    }
    const char tree = kTrees[below(kTrees.size())];
    switch (tree) {
      case 'o':
        tag('o');
        return properties(depth + 1, '{');
      case 'a': {
        tag('a');
        const std::uint64_t length = is_rare(3) ? 0xffffffff : below(50);
        count(length);
        properties(depth + 1, '@');
        return count(length);
      }
      case 'A': {
        tag('A');
        const std::size_t length = below(5);
        count(length);
        for (std::size_t i = 0; i < length; ++i) value(depth + 1);
        properties(depth + 1, '$');
        return count(length);
      }
      case ';':
      case '\'': {
        tag(tree);
        const std::size_t items = (tree == ';' ? 2 : 1) * below(4);
        for (std::size_t i = 0; i < items; ++i) value(depth + 1);
        tag(tree == ';' ? ':' : ',');
        return count(items);
      }
      case 'B': {
        tag('B');
        const std::size_t size = 8 * below(5);
        count(size);
        raw(size);
        if (!is_rare(3)) view();
        return;
      }
      case 'V':
        if (is_rare(2)) {
          tag('^');
          count(below(12));
        }
        return view();
      case 'r':
        return error();
      default:
        tag('R');
        text();
        return count(is_rare(4) ? below(1024) : below(64));
    }
  }

  std::mt19937 random_;
  std::string bytes_;
};

TEST_CASE("each call has an answer and the worker goes on whatever structured payloads contain") {
  const std::vector<std::string> flags = {"--stretch", "20s", "--memory", "128MB"};
  for (const std::string profile : {"jit", "strict"}) {
    CAPTURE(profile);
    std::vector<std::string> all = flags;
    all.insert(all.end(), {"--profile", profile});
    Ring ring(kWalk, all);
    CHECK(ring.outcome_of("ping") == "\"pong\"");
    const pid_t worker = worker_of(ring.client(), "hostile").pid;
    const std::string functions[] = {"one", "all", "clone", "same"};
    std::map<std::string, int> codes;
    int answered = 0, started = 0;
    Generator generate(20261122);
    for (int round = 0; round < 6000; ++round) {
      const std::string payload = generate.payload(), function = functions[generate.below(4)];
      const CallTo to{
          .module = "hostile", .function = function, .payload = payload, .timeout = std::chrono::minutes(2)};
      ipc::CallRequest request = to.request();
      request.encoding = ipc::Encoding::structured;
      request.result_encoding = ipc::ResultEncoding::structured;
      if (function == "all") request.arguments = ipc::ArgumentStyle::positional;
      ++started;
      ring.client().start(request, [&, round](const ipc::Answer& answer) {
        ++answered;
        const std::string code = code_of(answer);
        ++codes[code];
        const bool is_right =
            code == "result" || code == "protocol_error" || code == "exception" || code == "not_serializable";
        CHECK_MESSAGE(is_right, "round ", round, ": the outcome is: ", outcome(answer).substr(0, 300));
      });
      while (started - answered > 50) ring.client().run_once();
    }
    while (answered < started) ring.client().run_once();
    CHECK(codes["result"] > 1000);
    CHECK(codes["protocol_error"] > 1000);
    CHECK(worker_of(ring.client(), "hostile").pid == worker);
    ring.finish();
  }
}

TEST_CASE("an array that claims to be longer than memory is refused as a list of arguments") {
  Ring ring(kWalk);
  CHECK(ring.outcome_of("ping") == "\"pong\"");
  const pid_t worker = worker_of(ring.client(), "hostile").pid;
  const std::string longest(
      "\xFF\x0D"
      "a\xFF\xFF\xFF\xFF\x0F@\x00\xFF\xFF\xFF\xFF\x0F",
      15);
  const CallTo to{.module = "hostile", .function = "all", .payload = longest};
  ipc::CallRequest request = to.request();
  request.encoding = ipc::Encoding::structured;
  request.arguments = ipc::ArgumentStyle::positional;
  CHECK(outcome(ring.client().call(request)) ==
        "protocol_error: the payload has 4294967295 positional arguments; at most 65534 are allowed");
  CHECK(worker_of(ring.client(), "hostile").pid == worker);
  ring.finish();
}

}  // namespace
}  // namespace holdfast::test
