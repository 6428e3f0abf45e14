// Pre-faulting the engine's code for forked processes.
#define DOCTEST_CONFIG_IMPLEMENT
#include "worker/process/code_pages.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "worker/v8/engine.h"
#include "worker/v8/warm_up.h"

namespace holdfast::worker {
namespace {

// V8 can start only once in a process.
std::unique_ptr<Engine> engine;

// The minor page faults of a child's first calls; -1 if the child did not get that far.
long page_faults_of_a_child() {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    make_first_call(*engine);
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    ::_exit(::write(ends[1], &usage.ru_minflt, sizeof usage.ru_minflt) == sizeof usage.ru_minflt ? 0 : 1);
  }
  ::close(ends[1]);
  long faults = -1;
  if (::read(ends[0], &faults, sizeof faults) != sizeof faults) faults = -1;
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  return faults;
}

struct Mappings {
  int writable_code = 0;
  std::size_t huge = 0;  // 2 MB pages of files in memory
};

Mappings mappings() {
  Mappings found;
  std::ifstream maps("/proc/self/smaps");
  bool is_code = false;
  for (std::string line; std::getline(maps, line);) {
    const auto protection = line.find(' ') + 1;
    if (line.find('-') < protection) {
      is_code = line[protection + 2] == 'x';
      if (is_code && line[protection + 1] == 'w') ++found.writable_code;
    } else if (line.starts_with("ShmemPmdMapped:")) {
      std::size_t kilobytes = 0;
      std::istringstream(line.substr(line.find(':') + 1)) >> kilobytes;
      found.huge += kilobytes / 2048;
    }
  }
  return found;
}

// Runs in a child, so that the next test is the first to pre-fault in this process.
TEST_CASE("if a file limit forbids the copy of code it stays where it is and runs") {
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr rlimit kLimit{1 << 20, 1 << 20};
    if (::setrlimit(RLIMIT_FSIZE, &kLimit) != 0) ::_exit(2);
    const CodePages handed = prefault_code_pages([] { make_first_call(*engine); });
    make_first_call(*engine);
    ::_exit(handed.huge == 0 && mappings().huge == 0 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("children inherit the pages of code that was used, and have fewer page faults") {
  const long before = page_faults_of_a_child();
  const CodePages handed = prefault_code_pages([] { make_first_call(*engine); });
  const long after = page_faults_of_a_child();
  REQUIRE(before > 0);
  REQUIRE(after > 0);
  CAPTURE(before);
  CAPTURE(after);
  CAPTURE(handed.huge);
  CAPTURE(handed.small);
  // A kernel may offer neither kind of pages; then nothing may have changed.
  if (handed.small > 0 || handed.huge > 0) CHECK(after < before * 3 / 4);
  const Mappings found = mappings();
  CHECK(found.writable_code == 0);
  CHECK(found.huge == handed.huge);
}

TEST_CASE("a second attempt to pre-fault code leaves it as it is") {
  prefault_code_pages([] { make_first_call(*engine); });
  const std::size_t huge = mappings().huge;
  prefault_code_pages([] { make_first_call(*engine); });
  CHECK(mappings().huge == huge);
  CHECK(mappings().writable_code == 0);
  CHECK(page_faults_of_a_child() > 0);
  engine->collect_garbage();
}

}  // namespace
}  // namespace holdfast::worker

int main(int argc, char** argv) {
  using holdfast::worker::engine;
  engine = std::make_unique<holdfast::worker::Engine>(
      holdfast::worker::EngineOptions{.memory_bytes = std::uint64_t{64} << 20});
  holdfast::worker::warm_up(*engine);
  doctest::Context tests(argc, argv);
  const int status = tests.run();
  // Like a worker, ends without shutting V8 down.
  std::fflush(nullptr);
  ::_exit(status);
}
