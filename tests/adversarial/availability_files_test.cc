// Which files users can read through a holdfastd of root if they may put files into a directory of modules.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/as_nobody.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/skips.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSecret = "root:secret:line\n";

void give_to_nobody(const fs::path& path) { REQUIRE(::lchown(path.c_str(), kNobody, kNobody) == 0); }

// Writes a file that only root may read.
fs::path write_secret(const TemporaryFolder& folder, const std::string& text) {
  const fs::path file = folder.write("secret.js", text);
  REQUIRE(::chmod(file.c_str(), 0600) == 0);
  return file;
}

// Checks that the call failed, and that the error does not quote the secret.
void check_is_refused(const ipc::Answer& answer) {
  const auto error = error_of(answer);
  CHECK(ipc::to_string(error.code) == "load_failed");
  for (const std::string& text : {error.message, error.detail, error.stack}) CHECK_FALSE(contains(text, "secret:"));
  CHECK(contains(error.message, "Permission denied"));
}

TEST_CASE("a directory's owner gets to read no file through root that it could not read itself" *
          needs_root_for_holdfastd()) {
  const TemporaryFolder elsewhere;
  const fs::path secret = write_secret(elsewhere, kSecret);
  Daemon daemon({.modules = {{"own", "exports.ping = () => 'pong';"}}});
  const fs::path modules = daemon.folder()->path() / "modules";
  fs::permissions(elsewhere.path(), fs::perms(0755));
  fs::permissions(daemon.folder()->path(), fs::perms(0755));
  give_to_nobody(modules);
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"own", "ping"})) == "\"pong\"");

  fs::create_symlink(secret, modules / "link-v1.js");
  give_to_nobody(modules / "link-v1.js");
  check_is_refused(call(client, {"link", "f"}));
  // Not even through a link that root itself has put there, which no other user can move.
  fs::create_symlink(secret, modules / "roots-v1.js");
  check_is_refused(call(client, {"roots", "f"}));
  fs::create_directory_symlink(elsewhere.path(), modules / "folder");
  give_to_nobody(modules / "folder");
  fs::create_symlink("folder/secret.js", modules / "through-v1.js");
  give_to_nobody(modules / "through-v1.js");
  check_is_refused(call(client, {"through", "f"}));

  // The owner may read what everyone may read.
  fs::permissions(secret, fs::perms(0644));
  std::ofstream(secret) << "exports.ping = () => 'pong';";
  daemon.add_module({"last", "exports.ping = () => 'pong';"});
  CHECK(outcome(call(client, {"last", "ping"})) == "\"pong\"");
  fs::create_symlink(secret, modules / "open-v1.js");
  CHECK(outcome(call(client, {"open", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("who may only put links into root's directory gets to read no more by it" * needs_root_for_holdfastd()) {
  const TemporaryFolder elsewhere;
  const fs::path secret = write_secret(elsewhere, kSecret);
  Daemon daemon({.modules = {{"own", "exports.ping = () => 'pong';"}}});
  const fs::path modules = daemon.folder()->path() / "modules";
  ipc::Client client = daemon.connect();
  fs::create_symlink(secret, modules / "link-v1.js");
  give_to_nobody(modules / "link-v1.js");
  check_is_refused(call(client, {"link", "f"}));
  // Through a link that belongs to root.
  fs::create_symlink("link-v1.js", modules / "roots-v1.js");
  check_is_refused(call(client, {"roots", "f"}));
  // Root's own private files are served in root's own directory.
  fs::permissions(modules / "own-v1.js", fs::perms(0600));
  CHECK(outcome(call(client, {"own", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("a file of --module is opened with the rights of its directory's owner, too" * needs_root_for_holdfastd()) {
  const TemporaryFolder elsewhere, nobodys;
  const fs::path secret = write_secret(elsewhere, kSecret);
  fs::permissions(elsewhere.path(), fs::perms(0755));
  const fs::path file = nobodys.path() / "draft.js";
  fs::create_symlink(secret, file);
  give_to_nobody(nobodys.path());
  Daemon daemon(
      {.modules = {{"own", "exports.ping = () => 'pong';"}}, .flags = {"--module", "draft@v1=" + file.string()}});
  ipc::Client client = daemon.connect();
  check_is_refused(call(client, {"draft", "f"}));
  daemon.stop();
}

TEST_CASE("a device or pipe or directory is not a module and is never opened") {
  Daemon daemon({.modules = {{"own", "exports.ping = () => 'pong';"}}});
  const fs::path modules = daemon.folder()->path() / "modules";
  fs::create_symlink("/dev/null", modules / "device-v1.js");
  REQUIRE(::mkfifo((modules / "pipe-v1.js").c_str(), 0666) == 0);
  fs::create_directory(modules / "folder-v1.js");
  fs::create_symlink("/dev/zero", modules / "endless-v1.js");
  ipc::Client client = daemon.connect();
  for (const std::string module : {"device", "pipe", "folder", "endless"}) {
    CAPTURE(module);
    CHECK(outcome(call(client, {module, "f"})) ==
          "load_failed: cannot read module " + module + "@v1: it is not a regular file");
  }
  fs::create_symlink("loop-v1.js", modules / "loop-v1.js");
  CHECK(contains(outcome(call(client, {"loop", "f"})), "Too many levels of symbolic links"));
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
