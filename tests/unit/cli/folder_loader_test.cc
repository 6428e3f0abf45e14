#include "tools/cli/folder_loader.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "tests/unit/supervisor/test_support.h"

using namespace holdfast;
using namespace holdfast::cli;
using holdfast::supervisor::testing::TemporaryFolder;

namespace {

std::string reason(const ipc::LoadOutcome& outcome) {
  REQUIRE(std::holds_alternative<ipc::LoadFailure>(outcome));
  return std::get<ipc::LoadFailure>(outcome).reason;
}

}  // namespace

TEST_CASE("a folder's modules are given as they are when they are asked for") {
  const TemporaryFolder folder;
  folder.write("sum-v1.js", "exports.f = 1");
  const auto load = [&] { return load_from_folder(folder.path(), {"sum", "v1"}, 1000); };
  auto outcome = load();
  REQUIRE(std::holds_alternative<ipc::LoadedSource>(outcome));
  CHECK(std::get<ipc::LoadedSource>(outcome).text == "exports.f = 1");
  CHECK(std::get<ipc::LoadedSource>(outcome).file_name == "sum-v1.js");
  folder.write("sum-v1.js", "");
  outcome = load();
  CHECK(std::get<ipc::LoadedSource>(outcome).text.empty());
}

TEST_CASE("a module that a folder does not have is not found") {
  const TemporaryFolder folder;
  CHECK(std::holds_alternative<ipc::NoSuchModule>(load_from_folder(folder.path(), {"sum", "v1"}, 1000)));
}

TEST_CASE("a file that cannot be a module is a failure that says why and does not block") {
  const TemporaryFolder folder;
  folder.write("large-v1.js", std::string(1001, 'x'));
  REQUIRE(::mkfifo((folder / "pipe-v1.js").c_str(), 0600) == 0);
  std::filesystem::create_directory(folder / "folder-v1.js");
  CHECK(reason(load_from_folder(folder.path(), {"large", "v1"}, 1000)) ==
        "cannot read large-v1.js: it has 1001B; at most 1000B are allowed");
  CHECK(reason(load_from_folder(folder.path(), {"pipe", "v1"}, 1000)) ==
        "cannot read pipe-v1.js: it is not a regular file");
  CHECK(reason(load_from_folder(folder.path(), {"folder", "v1"}, 1000)) ==
        "cannot read folder-v1.js: it is not a regular file");
}
