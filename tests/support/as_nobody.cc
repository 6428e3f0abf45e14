#include "tests/support/as_nobody.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string_view>

#include "tests/support/program.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// Where the dynamic linker finds V8 for the program; empty if it needs none.
fs::path v8_library(const std::string& program) {
  std::istringstream lines(run({"/usr/bin/ldd", program}).output);
  for (std::string name, arrow, path, rest; lines >> name >> arrow >> path && std::getline(lines, rest);) {
    if (name.starts_with("libnode")) return path;
  }
  return {};
}

// Also checks the libraries that the program is linked with: ldd looks for them without running the program.
bool nobody_can_start(const std::string& program) {
  const Finished listed = run({"/usr/bin/ldd", program}, {.as_nobody = true});
  return listed.status == 0 && listed.output.find("not found") == std::string::npos &&
         run({"/usr/bin/test", "-x", program}, {.as_nobody = true}).status == 0;
}

fs::path copy_for_all(const fs::path& file, const fs::path& folder) {
  const fs::path copy = folder / file.filename();
  fs::copy_file(file, copy, fs::copy_options::skip_existing);
  fs::permissions(copy, fs::perms(0755));
  return copy;
}

std::string copied(const std::string& program) {
  static const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0755));
  const fs::path copy = copy_for_all(program, folder.path());
  const fs::path library = v8_library(program);
  if (library.empty()) return copy;
  copy_for_all(library, folder.path());
  // A worker starts with an empty environment, so a start script has to set the path of its library.
  const fs::path start = folder.write(
      "start-" + copy.filename().string(),
      fmt::format("#!/bin/sh\nLD_LIBRARY_PATH={} exec {} \"$@\"\n", folder.path().string(), copy.string()));
  fs::permissions(start, fs::perms(0755));
  return start;
}

}  // namespace

bool is_for_nobody() {
  const char* value = std::getenv("HOLDFAST_TEST_AS_NOBODY");
  return value != nullptr && std::string_view(value) == "1";
}

std::string startable_by_nobody(const std::string& program) {
  static std::map<std::string, std::string> known;
  const auto found = known.find(program);
  if (found != known.end()) return found->second;
  return known.emplace(program, nobody_can_start(program) ? program : copied(program)).first->second;
}

}  // namespace holdfast::test
