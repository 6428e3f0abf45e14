// V8's flags after its start: each pinned flag has its pinned value.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include "worker/v8/engine.h"
#include "worker/v8/pinned_choices.h"

namespace holdfast::worker {
namespace {

// V8 can start only once in a process.
std::unique_ptr<Engine> engine;

// The values that V8 prints in its help: "wasm-memory-protection-keys" -> "--nowasm-memory-protection-keys". A child
// process asks for the help.
std::map<std::string, std::string> flags_in_force() {
  const int file = ::memfd_create("help", MFD_CLOEXEC);
  std::fflush(nullptr);
  if (const pid_t child = ::fork(); child == 0) {
    ::dup2(file, STDOUT_FILENO);
    v8::V8::SetFlagsFromString("--help");
    std::fflush(nullptr);
    ::_exit(0);
  } else {
    ::waitpid(child, nullptr, 0);
  }
  std::string text(static_cast<std::size_t>(::lseek(file, 0, SEEK_END)), '\0');
  REQUIRE(::pread(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  ::close(file);
  std::map<std::string, std::string> values;
  std::istringstream lines(text);
  std::string name;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("  --")) name = line.substr(4, line.find(' ', 4) - 4);
    constexpr std::string_view kValue = "default: ";
    if (const auto at = line.find(kValue); at != std::string::npos) values[name] = line.substr(at + kValue.size());
  }
  return values;
}

TEST_CASE("each flag that is pinned is in force, where V8 knows it") {
  const auto values = flags_in_force();
  REQUIRE(values.contains("single-threaded"));
  for (const PinnedFlag& row : pinned_flags()) {
    CAPTURE(row.flag);
    if (row.where == PinnedFlag::Where::jitless) continue;
    std::string name = std::string(row.flag).substr(2);
    const bool is_off = name.starts_with("no-");
    if (is_off) name.erase(0, 3);
    const auto found = values.find(name.substr(0, name.find('=')));
    if (found != values.end()) CHECK(found->second == (is_off ? "--no" : "--") + name);
    CHECK(std::string_view(row.reason) != "");
  }
  // Every version of V8 has one of these.
  CHECK((values.contains("wasm-memory-protection-keys") || values.contains("memory-protection-keys")));
}

}  // namespace
}  // namespace holdfast::worker

int main(int argc, char** argv) {
  using holdfast::worker::engine;
  engine = std::make_unique<holdfast::worker::Engine>(
      holdfast::worker::EngineOptions{.memory_bytes = std::uint64_t{64} << 20});
  doctest::Context tests(argc, argv);
  const int status = tests.run();
  // Like a worker, ends without shutting V8 down.
  std::fflush(nullptr);
  ::_exit(status);
}
