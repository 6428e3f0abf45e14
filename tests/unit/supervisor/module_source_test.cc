// Where a module's source comes from, and the errors if it cannot be read. ipc_module_name_test.cc tests the names of
// modules.
#include "supervisor/modules/module_source.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tests/support/skips.h"
#include "tests/unit/supervisor/test_support.h"

namespace holdfast::supervisor {
namespace {

using ipc::ErrorCode;
using testing::TemporaryFolder;

const ModuleName kSum = {"sum", "v1"};

// The error of reading the module, or "".
std::string problem(const ModuleSources& sources, const ModuleName& name) {
  const auto source = sources.read(name);
  if (source) return "";
  CHECK(source.error().executed == ipc::Executed::no);
  return std::string(ipc::to_string(source.error().code)) + ": " + source.error().message;
}

TEST_CASE("a module is the file of the folder that has its name and version") {
  TemporaryFolder folder;
  folder.write("sum-v1.js", "exports.add = 1;");
  const ModuleSources sources(folder.path());
  CHECK(sources.contains(kSum));
  const auto source = sources.read(kSum);
  REQUIRE(source.has_value());
  CHECK(source->text == "exports.add = 1;");
  CHECK(source->file_name == "sum-v1.js");
}

TEST_CASE("a module's file may also end in .mjs or .cjs, which its name keeps") {
  TemporaryFolder folder;
  folder.write("sum-v1.mjs", "export const add = 1;");
  folder.write("old-v1.cjs", "exports.add = 1;");
  const ModuleSources sources(folder.path());
  CHECK(sources.read(kSum)->file_name == "sum-v1.mjs");
  CHECK(sources.read({"old", "v1"})->file_name == "old-v1.cjs");
}

TEST_CASE("a file stands only for the names for which it would be read") {
  TemporaryFolder folder;
  ModuleSources sources(folder.path());
  sources.add_file({"other", "v1"}, folder / "sum-v1.js");
  sources.add_file({"named", "v1"}, "/elsewhere/named.js");
  const auto names_for = [&](const std::string& path) { return sources.names_for({path}); };
  const auto in_folder = [&](const std::string& file) { return names_for((folder / file).string()); };
  CHECK(in_folder("a-v1.cjs") == std::set<ModuleName>{{"a", "v1"}});
  CHECK(in_folder("sum-v1.js") == std::set<ModuleName>{{"other", "v1"}, {"sum", "v1"}});
  CHECK(names_for("/elsewhere/named.js") == std::set<ModuleName>{{"named", "v1"}});
  CHECK(in_folder("named-v1.js").empty());  // the operator named another file for this module
  CHECK(names_for("/elsewhere/a-v1.js").empty());
  for (const char* file : {"a.js", "a-v1", "a-v1.ts", "-v1.js", "a-.js", ".a-v1.js", "a-.v1.js", "-", ".js", ""}) {
    CAPTURE(file);
    CHECK(in_folder(file).empty());
  }
  CHECK(ModuleSources("").names_for({"a-v1.js", "/a-v1.js"}).empty());
  // Relative folders, as the operator wrote them; paths are given in their shortest form.
  CHECK(ModuleSources(".").names_for({"a-v1.js", "m/b-v1.js"}) == std::set<ModuleName>{{"a", "v1"}});
  CHECK(ModuleSources("m/").names_for({"a-v1.js", "m/b-v1.js"}) == std::set<ModuleName>{{"b", "v1"}});
  CHECK(ModuleSources("/").names_for({"a-v1.js", "/c-v1.mjs"}) == std::set<ModuleName>{{"c", "v1"}});
}

TEST_CASE("a version of which there are two files cannot be loaded, and the error names both") {
  TemporaryFolder folder;
  folder.write("sum-v1.js", "");
  folder.write("sum-v1.cjs", "");
  const ModuleSources sources(folder.path());
  CHECK(sources.contains(kSum));
  CHECK(problem(sources, kSum) ==
        "load_failed: cannot read module sum@v1: there are sum-v1.js and sum-v1.cjs, and one version has one file: "
        "remove the others");
  std::filesystem::remove(folder / "sum-v1.js");
  CHECK(sources.read(kSum)->file_name == "sum-v1.cjs");
}

TEST_CASE("a module's text is read as it is, whatever bytes it has") {
  TemporaryFolder folder;
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  folder.write("sum-v1.js", bytes);
  folder.write("none-v1.js", "");
  const ModuleSources sources(folder.path());
  CHECK(sources.read(kSum)->text == bytes);
  CHECK(sources.read({"none", "v1"})->text.empty());
}

TEST_CASE("a module's text is read anew each time") {
  TemporaryFolder folder;
  folder.write("sum-v1.js", "old");
  const ModuleSources sources(folder.path());
  CHECK(sources.read(kSum)->text == "old");
  folder.write("sum-v1.js", "new and longer");
  CHECK(sources.read(kSum)->text == "new and longer");
  std::filesystem::remove(folder / "sum-v1.js");
  CHECK_FALSE(sources.contains(kSum));
  CHECK_FALSE(sources.read(kSum).has_value());
}

TEST_CASE("a module that has no file is not found, and the error names the file that is missing") {
  TemporaryFolder folder;
  folder.write("sum-v1.js", "");
  const ModuleSources sources(folder.path());
  for (const ModuleName& name : {ModuleName{"sum", "v2"}, ModuleName{"add", "v1"}, ModuleName{"SUM", "v1"}}) {
    CHECK_FALSE(sources.contains(name));
    const std::string text = problem(sources, name);
    CHECK(text.starts_with("not_found: "));
    CHECK(text.find(name.module + "-" + name.version + ".js") != std::string::npos);
  }
}

TEST_CASE("a caller is not told where the modules are kept") {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder / "sum-v1.js");
  const ModuleSources sources(folder.path());
  CHECK(problem(sources, kSum).find(folder.path().string()) == std::string::npos);
  CHECK(problem(sources, {"sum", "v2"}).find(folder.path().string()) == std::string::npos);
}

TEST_CASE("only regular files can be read and a named pipe does not block the reader") {
  TemporaryFolder folder;
  const ModuleSources sources(folder.path());
  SUBCASE("a folder") { std::filesystem::create_directory(folder / "sum-v1.js"); }
  SUBCASE("a named pipe that nobody writes to") { REQUIRE(::mkfifo((folder / "sum-v1.js").c_str(), 0600) == 0); }
  SUBCASE("a device") { std::filesystem::create_symlink("/dev/zero", folder / "sum-v1.js"); }
  CHECK(sources.contains(kSum));
  const std::string text = problem(sources, kSum);
  CHECK(text == "load_failed: cannot read module sum@v1: it is not a regular file");
}

TEST_CASE("a link to a file is followed, as deployments switch versions with links") {
  TemporaryFolder folder, elsewhere;
  std::filesystem::create_symlink(elsewhere.write("build-42.js", "linked"), folder / "sum-v1.js");
  const ModuleSources sources(folder.path());
  const auto source = sources.read(kSum);
  REQUIRE(source.has_value());
  CHECK(source->text == "linked");
  CHECK(source->file_name == "sum-v1.js");
}

TEST_CASE("a folder that is reached through a link has the files that the link's owner may read" * test::needs_root()) {
  TemporaryFolder folder, elsewhere;
  const auto file = folder.write("sum-v1.js", "secret");
  ::chmod(folder.path().c_str(), 0755);
  ::chmod(file.c_str(), 0600);
  const auto link = elsewhere / "modules";
  std::filesystem::create_directory_symlink(folder.path(), link);
  const ModuleSources sources(link);
  CHECK(problem(sources, kSum) == "");
  REQUIRE(::lchown(link.c_str(), 65534, 65534) == 0);
  CHECK(problem(sources, kSum).starts_with("load_failed: cannot read module sum@v1: Permission denied"));
  ::chmod(file.c_str(), 0644);
  CHECK(problem(sources, kSum) == "");
}

TEST_CASE("a link that leads nowhere is no module") {
  TemporaryFolder folder;
  std::filesystem::create_symlink("nowhere", folder / "sum-v1.js");
  const ModuleSources sources(folder.path());
  CHECK_FALSE(sources.contains(kSum));
  CHECK(problem(sources, kSum).starts_with("not_found: "));
}

TEST_CASE("links in a circle cannot be read") {
  TemporaryFolder folder;
  std::filesystem::create_symlink("sum-v1.js", folder / "sum-v1.js");
  const std::string text = problem(ModuleSources(folder.path()), kSum);
  CHECK(text.starts_with("load_failed: cannot read module sum@v1: "));
}

TEST_CASE("a file of the largest size is a module, and a larger one is refused with both sizes") {
  TemporaryFolder folder;
  const auto path = folder.write("sum-v1.js", "");
  const ModuleSources sources(folder.path());
  std::filesystem::resize_file(path, ModuleSources::kMaxSourceBytes);
  CHECK(sources.read(kSum)->text.size() == ModuleSources::kMaxSourceBytes);
  std::filesystem::resize_file(path, ModuleSources::kMaxSourceBytes * 2);
  CHECK(problem(sources, kSum) == "load_failed: cannot read module sum@v1: it has 32MB; at most 16MB are allowed");
  std::filesystem::resize_file(path, ModuleSources::kMaxSourceBytes + 1);
  CHECK(problem(sources, kSum).starts_with("load_failed: "));
}

TEST_CASE("a file that may not be read exists and the error says why it cannot be used") {
  TemporaryFolder folder;
  ::chmod(folder.path().c_str(), 0755);
  ::chmod(folder.write("sum-v1.js", "secret").c_str(), 0);
  const ModuleSources sources(folder.path());
  const int status = testing::exit_status_of(testing::As::nobody, [&] {
    const auto source = sources.read(kSum);
    return sources.contains(kSum) && !source && source.error().code == ErrorCode::load_failed &&
           source.error().message.starts_with("cannot read module sum@v1: Permission denied");
  });
  CHECK(status == 0);
}

TEST_CASE("while no descriptor is free a module is unavailable for now, which is not the module's fault") {
  TemporaryFolder folder;
  folder.write("sum-v1.js", "");
  const ModuleSources sources(folder.path());
  const int status = testing::exit_status_of(testing::As::itself, [&] {
    const rlimit none = {0, 0};
    if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return false;
    const auto source = sources.read(kSum);
    return !source && source.error().code == ErrorCode::unavailable && source.error().retryable;
  });
  CHECK(status == 0);
}

TEST_CASE("a module is unavailable for now while the process that opens files is gone or busy") {
  ModuleSources sources("/modules");
  int error = 0;
  sources.set_open([&](const ModuleName&) -> tl::expected<ModuleFile, int> { return tl::unexpected(error); });
  for (const int shortage : {EAGAIN, EPIPE, EMFILE, ENFILE}) {
    CAPTURE(shortage);
    error = shortage;
    const auto source = sources.read(kSum);
    REQUIRE_FALSE(source.has_value());
    CHECK(source.error().code == ErrorCode::unavailable);
    CHECK(source.error().retryable);
  }
  for (const int fault : {EACCES, EIO, ELOOP}) {
    CAPTURE(fault);
    error = fault;
    const auto source = sources.read(kSum);
    REQUIRE_FALSE(source.has_value());
    CHECK(source.error().code == ErrorCode::load_failed);
    CHECK_FALSE(source.error().retryable);
  }
}

TEST_CASE("a module that was named with its file is that file, whatever the folder has") {
  TemporaryFolder folder, elsewhere;
  folder.write("sum-v1.js", "of the folder");
  ModuleSources sources(folder.path());
  sources.add_file(kSum, elsewhere.write("draft.js", "named"));
  const auto source = sources.read(kSum);
  REQUIRE(source.has_value());
  CHECK(source->text == "named");
  CHECK(source->file_name == "draft.js");
  std::filesystem::remove(elsewhere / "draft.js");
  CHECK_FALSE(sources.contains(kSum));
  CHECK(problem(sources, kSum).starts_with("not_found: "));
}

TEST_CASE("without a folder only the modules that were named are there") {
  TemporaryFolder folder;
  ModuleSources sources{std::filesystem::path()};
  sources.add_file(kSum, folder.write("draft.js", "named"));
  CHECK(sources.contains(kSum));
  CHECK(sources.read(kSum)->text == "named");
  CHECK_FALSE(sources.contains({"sum", "v2"}));
  CHECK(problem(sources, {"sum", "v2"}).starts_with("not_found: "));
}

TEST_CASE("a folder that is gone has no modules") {
  TemporaryFolder folder;
  const ModuleSources sources(folder / "gone");
  CHECK_FALSE(sources.contains(kSum));
  CHECK(problem(sources, kSum).starts_with("not_found: "));
}

}  // namespace
}  // namespace holdfast::supervisor
