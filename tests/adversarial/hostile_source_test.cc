// Texts that are hard on their reader: modules for the compiler, payloads for JSON.parse; and code that runs outside of
// any call.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "tests/adversarial/hostile.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  all.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

// Returns `open` repeated `times` times, then `middle`, then `close` repeated as often.
std::string nested(std::string_view open, std::string_view middle, std::string_view close,
                   std::size_t times = 100'000) {
  return repeated(open, times) + std::string(middle) + repeated(close, times);
}

TEST_CASE("extremely nested sources load or fail to load and do not affect other modules") {
  const std::vector<std::pair<std::string, std::string>> sources = {
      {"parentheses", "exports.f = () => " + nested("(", "1", ")") + ";"},
      {"arrays", "exports.f = () => " + nested("[", "", "]") + ";"},
      {"objects", "exports.f = () => (" + nested("{a:", "1", "}") + ");"},
      {"blocks", nested("{", "", "}") + "exports.f = () => 1;"},
      {"functions", nested("(function(){", "", "})();") + "exports.f = () => 1;"},
      {"arrows", "exports.f = " + repeated("x=>", 100'000) + "1;"},
      {"classes", nested("class A { static x = ", "1", "}", 10'000) + "exports.f = () => 1;"},
      {"templates", "exports.f = () => " + nested("`${", "1", "}`") + ";"},
      {"negations", "exports.f = () => " + repeated("!", 200'000) + "1;"},
      {"sums", "exports.f = () => 1" + repeated("+1", 200'000) + ";"},
      {"powers", "exports.f = () => 1" + repeated("**1", 100'000) + ";"},
      {"conditions", "exports.f = () => " + repeated("0?0:", 100'000) + "1;"},
      {"branches", repeated("if (0) ; else ", 100'000) + "exports.f = () => 1;"},
      {"chains", "exports.f = () => ({})" + repeated("?.a", 100'000) + ";"},
      {"calls", "exports.f = (g = () => g) => g" + repeated("()", 100'000) + ";"},
      {"commas", "exports.f = () => (" + repeated("0,", 500'000) + "1);"},
      {"assignments", "let a; exports.f = () => " + repeated("a=", 100'000) + "1;"},
      {"patterns", "exports.f = (" + nested("[", "", "]", 50'000) + ") => 1;"},
      {"parameters", "exports.f = (" +
                         [] {
                           std::string all;
                           for (int i = 0; i < 70'000; ++i) all += fmt::format("a{},", i);
                           return all;
                         }() +
                         ") => 1;"},
      {"labels",
       [] {
         std::string all;
         for (int i = 0; i < 50'000; ++i) all += fmt::format("l{}:", i);
         return all + ";exports.f = () => 1;";
       }()},
      {"expression", "exports.f = () => /" + nested("(?:", "a", ")*", 20'000) + "/.test('b');"},
      {"deeper", "exports.f = () => /" + nested("(?:", "a", ")*", 50'000) + "/.test('b');"},
      {"text", "exports.f = () => '" + repeated("x", 4 << 20) + "'.length;"},
      {"identifier", "exports.f = () => typeof " + repeated("x", 4 << 20) + ";"},
      {"number", "exports.f = () => " + repeated("9", 1 << 20) + ";"},
      {"bigint", "exports.f = () => typeof " + repeated("9", 1 << 18) + "n;"},
      {"bytes", repeated("\xff\xfe\x00\x80", 1000) + "exports.f = () => 1;"},
      {"unfinished", "exports.f = () => { /* "},
      {"closing", "}); while (true) {} (() => {"},  // leaves the function around the source
      {"nothing", ""},
  };
  Ring ring("", {"--stretch", "3s"});
  for (const auto& [name, source] : sources) {
    CAPTURE(name);
    ring.daemon().add_module({name, source});
    const ipc::Answer answer = call(ring.client(), {name, "f"});
    const std::string code = code_of(answer);
    // V8 compiles it recursively, bounded only by the budget and the stack; which one ends it depends on the machine.
    const bool is_bounded_by_stack = name == std::string("deeper");
    CHECK_MESSAGE((code == "result" || code == "load_failed" || code == "exception" || code == "not_serializable" ||
                   (code == "not_found" && name == "nothing") || code == "cpu_exceeded" || code == "out_of_memory" ||
                   (code == "worker_crashed" && is_bounded_by_stack)),
                  "the outcome is: ", outcome(answer).substr(0, 300));
    if (name == "closing") CHECK(contains(outcome(answer), "load_failed: SyntaxError"));
    if (!answer && !is_bounded_by_stack) CHECK_FALSE(contains(outcome(answer), "SIG"));
    ring.check_unharmed();
  }
  ring.finish();
}

TEST_CASE("extremely nested or wide payloads end at most their own call") {
  const std::string kilobyte(1024, 'x');
  std::string keys = "{";
  for (int i = 0; i < 300'000; ++i) keys += fmt::format("\"k{}\":{},", i, i);
  keys.back() = '}';
  const std::vector<std::pair<std::string, std::string>> payloads = {
      {"deep arrays", nested("[", "", "]", 1'000'000)},
      {"deep objects", nested("{\"a\":", "1", "}", 500'000)},
      {"unclosed", repeated("[", 5'000'000)},
      {"many keys", keys},
      {"one long text", "\"" + repeated(kilobyte, 8 << 10) + "\""},
      {"one long number", repeated("9", 5'000'000)},
      {"escapes", "\"" + repeated("\\u0000", 500'000) + "\""},
      {"prototypes", R"({"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}})"},
      {"bytes", repeated("\xff\xfe", 1000)},
      {"half a character", "\"\\ud800\""},
      {"spaces", repeated(" ", 5'000'000)},
      {"nothing", ""},
  };
  Ring ring(R"js(
      exports.f = (payload) => [typeof payload, 'polluted' in {}];
      exports.back = (payload) => payload;
      exports.count = (...all) => all.length;
  )js",
            {"--stretch", "3s"});
  for (const auto& [name, payload] : payloads) {
    for (const std::string function : {"f", "back"}) {
      CAPTURE(name);
      CAPTURE(function);
      const std::string came = outcome(ring.call(function, payload)).substr(0, 300);
      CHECK_FALSE(contains(came, "SIG"));
      CHECK_FALSE(contains(came, "worker_crashed"));
      if (function == "f" && name == "prototypes") CHECK(came == R"(["object",false])");
      if (function == "back" && name == "prototypes") CHECK(came == payload);
      ring.check_unharmed();
    }
  }
  for (const std::size_t count : {1000, 60'000, 200'000, 3'000'000}) {
    CAPTURE(count);
    const std::string came = outcome(call(ring.client(), {.module = "hostile",
                                                          .function = "count",
                                                          .payload = "[" + repeated("0,", count - 1) + "0]",
                                                          .arguments = ipc::ArgumentStyle::positional}));
    CHECK_MESSAGE((came == std::to_string(count + 1) || came.starts_with("protocol_error: ")), came.substr(0, 300));
    ring.check_unharmed();
  }
  ring.finish();
}

TEST_CASE("code that runs outside of any call is stopped like any other and the next call gets a fresh process") {
  Ring ring(R"js(
      const garbage = () => { for (let kept, i = 0; i < 60; i++) kept = new ArrayBuffer(16 << 20); };  // V8 collects
      let registry;
      const finalize = (callback) => {
        registry = new FinalizationRegistry(callback);
        (() => { for (let i = 0; i < 100; i++) registry.register({}, i); })();
        garbage();
        return new Promise((resolve) => setTimeout(resolve, 1, 'answered'));
      };
      exports.throwing = () => finalize(() => { throw new Error('in a finalizer'); });
      exports.looping = () => finalize(() => { while (true) {} });
      exports.filling = () => finalize(() => { const all = []; while (true) all.push({ all }); });
      exports.deep = () => finalize(function again() { again(); });
      exports.holding = () => finalize((i) => { globalThis['held' + i] = registry; });
  )js",
            {"--memory", "64MB", "--stretch", "2s"});
  for (const std::string function : {"throwing", "looping", "filling", "deep", "holding"}) {
    CAPTURE(function);
    CHECK(eventually([&] { return ring.outcome_of("ping") == "\"pong\""; }));
    const ipc::Answer answer = ring.call(function);
    // Finalizers run for no call, so this call is not to blame.
    CHECK((answer || (code_of(answer) == "worker_crashed" && answer.error().retryable)));
  }
  CHECK(ring.daemon().logged("in a finalizer"));
  CHECK(ring.daemon().logged("worker ended: it was stopped because JavaScript ran for more than 2s"));
  CHECK(eventually([&] { return ring.outcome_of("ping") == "\"pong\""; }));
  ring.finish();
}

}  // namespace
}  // namespace holdfast::test
