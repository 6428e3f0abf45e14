// The engine without a compiler of machine code, as in the strict profile.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "worker/v8/engine.h"
#include "worker/v8/warm_up.h"

namespace holdfast::worker {
namespace {

// V8 can start only once in a process.
std::unique_ptr<Engine> engine;

std::string evaluate(const std::string& code) {
  v8::HandleScope scope(engine->isolate());
  v8::TryCatch failure(engine->isolate());
  v8::Local<v8::Script> script;
  v8::Local<v8::Value> value;
  const bool done = v8::Script::Compile(engine->context(), engine->string(code)).ToLocal(&script) &&
                    script->Run(engine->context()).ToLocal(&value);
  v8::String::Utf8Value text(engine->isolate(), done ? value : failure.Exception());
  return *text;
}

TEST_CASE("without a compiler, JavaScript and regular expressions do what they always do") {
  CHECK(evaluate("let sum = 0; for (let i = 0; i < 300000; i++) sum += i % 7; sum") == "899997");
  CHECK(evaluate("'x'.repeat(5000).replace(/(x)(?=x)/g, '$1y').length") == "9999");
  CHECK(evaluate("(async () => {})() instanceof Promise") == "true");
}

TEST_CASE("without a compiler there is no WebAssembly") { CHECK(evaluate("typeof WebAssembly") == "undefined"); }

TEST_CASE("without a compiler the process has no executable memory but that of its files") {
  evaluate("const f = (a) => a * 2; for (let i = 0; i < 100000; i++) f(i); /a+b/.test('aab')");
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const bool executable = line.substr(line.find(' ') + 1, 4).find('x') != std::string::npos;
    const bool of_a_file = line.find('/') != std::string::npos;
    const bool of_the_kernel = line.find("[vdso]") != std::string::npos || line.find("[vsyscall]") != std::string::npos;
    CAPTURE(line);
    CHECK((!executable || of_a_file || of_the_kernel));
  }
}

}  // namespace
}  // namespace holdfast::worker

int main(int argc, char** argv) {
  using holdfast::worker::engine;
  engine = std::make_unique<holdfast::worker::Engine>(
      holdfast::worker::EngineOptions{.memory_bytes = std::uint64_t{64} << 20, .jitless = true});
  holdfast::worker::warm_up(*engine);
  doctest::Context tests(argc, argv);
  const int status = tests.run();
  // Like a worker, ends without shutting V8 down.
  std::fflush(nullptr);
  ::_exit(status);
}
