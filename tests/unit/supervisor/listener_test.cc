#include "supervisor/net/listener.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <vector>

#include "ipc/client_messages.h"
#include "ipc/packet.h"
#include "tests/support/skips.h"
#include "tests/unit/supervisor/test_support.h"

namespace holdfast::supervisor {
namespace {

namespace fs = std::filesystem;
using testing::QuietLog;
using testing::TemporaryFolder;

sockaddr_un address_of(const fs::path& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  REQUIRE(path.string().size() < sizeof address.sun_path);
  path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

UniqueFd new_socket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(socket);
  return socket;
}

// A socket file that is served while the descriptor is open, and that stays afterwards.
UniqueFd serve(const fs::path& path) {
  UniqueFd socket = new_socket();
  const sockaddr_un address = address_of(path);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(socket.get(), 5) == 0);
  return socket;
}

UniqueFd connect_to(const fs::path& path) {
  UniqueFd socket = new_socket();
  const sockaddr_un address = address_of(path);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) socket.reset();
  return socket;
}

struct stat status_of(const fs::path& path) {
  struct stat status = {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status;
}

bool is_there(const fs::path& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0;
}

fs::path lock_of(const fs::path& path) { return path.string() + ".lock"; }

// Opens a listener; fails the test if that is refused.
std::unique_ptr<Listener> open(boost::asio::io_context& io, const fs::path& path, mode_t mode = 0600) {
  auto opened = Listener::open(io, path.string(), mode);
  REQUIRE_MESSAGE(opened.has_value(), opened.error());
  return std::move(*opened);
}

// The reason why no listener could be opened.
std::string refusal(boost::asio::io_context& io, const fs::path& path) {
  auto opened = Listener::open(io, path.string(), 0600);
  REQUIRE_FALSE(opened.has_value());
  return opened.error();
}

struct Fixture {
  QuietLog quiet;
  boost::asio::io_context io;
  TemporaryFolder folder;
  fs::path path = folder / "h.sock";

  // No listener can be opened, for a reason about the lock file that begins like this, and the lock stays.
  void check_lock_is_refused(const std::string& expected) {
    const auto before = status_of(lock_of(path));
    CHECK(refusal(io, path).starts_with("the lock file " + lock_of(path).string() + " " + expected));
    CHECK(status_of(lock_of(path)).st_ino == before.st_ino);
    CHECK_FALSE(is_there(path));
  }
};

TEST_CASE_FIXTURE(Fixture, "each client that connects is handed over, until the listener stops") {
  auto listener = open(io, path);
  std::vector<Listener::Socket> accepted;
  listener->start([&](Listener::Socket socket) { accepted.push_back(std::move(socket)); });
  const UniqueFd one = connect_to(path), other = connect_to(path);
  REQUIRE(one);
  REQUIRE(other);
  while (accepted.size() < 2) REQUIRE(io.run_one() == 1);

  REQUIRE(::send(other.get(), "x", 1, MSG_NOSIGNAL) == 1);
  char byte = 0;
  CHECK(accepted[1].read_some(boost::asio::buffer(&byte, 1)) == 1);
  CHECK(byte == 'x');

  listener->stop();
  io.run();
  CHECK(accepted.size() == 2);
  CHECK_FALSE(connect_to(path));
}

TEST_CASE_FIXTURE(Fixture, "a client that connects before the listener starts is served once it does") {
  auto listener = open(io, path);
  const UniqueFd client = connect_to(path);
  REQUIRE(client);
  int accepted = 0;
  listener->start([&](Listener::Socket) { ++accepted; });
  REQUIRE(io.run_one() == 1);
  CHECK(accepted == 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "a client can send no descriptor, before it is accepted and after, where the kernel offers that") {
  auto listener = open(io, path);
  if (!listener->refuses_descriptors()) return test::skip_this_test("it needs Linux 6.16");
  const UniqueFd client = connect_to(path);
  REQUIRE(client);
  const auto send_one = [&] { return ipc::send_with_descriptor(client, ipc::as_bytes("x"), client); };
  CHECK(send_one().error().value() == EPERM);
  std::vector<Listener::Socket> accepted;
  listener->start([&](Listener::Socket socket) { accepted.push_back(std::move(socket)); });
  REQUIRE(io.run_one() == 1);
  CHECK(send_one().error().value() == EPERM);
  CHECK(accepted.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "the socket file has the mode that was asked for, whatever the umask") {
  const mode_t before = ::umask(0077);
  const mode_t asked[] = {0600, 0660, 0666};
  for (mode_t mode : asked) {
    auto listener = open(io, path, mode);
    CHECK((status_of(path).st_mode & 07777) == mode);
    CHECK(S_ISSOCK(status_of(path).st_mode));
  }
  const mode_t after = ::umask(before);
  CHECK(after == 0077);  // the listener restored it
}

TEST_CASE_FIXTURE(Fixture, "who may not write to the socket file may not connect" * test::needs_root()) {
  ::chmod(folder.path().c_str(), 0755);
  const auto nobody_connects = [&] {
    return testing::exit_status_of(testing::As::nobody, [&] { return bool(connect_to(path)); }) == 0;
  };
  {
    auto listener = open(io, path, 0600);
    CHECK_FALSE(nobody_connects());
  }
  auto listener = open(io, path, 0666);
  CHECK(nobody_connects());
}

TEST_CASE_FIXTURE(Fixture, "a folder that is missing is made for its owner alone") {
  path = folder / "new";
  path /= "h.sock";
  const mode_t before = ::umask(0);
  auto listener = open(io, path);
  ::umask(before);
  CHECK((status_of(path.parent_path()).st_mode & 07777) == 0700);
  CHECK(connect_to(path));
}

TEST_CASE_FIXTURE(Fixture, "a folder that cannot be made is an error that names it") {
  const fs::path far = folder / "no";
  CHECK(refusal(io, far / "such" / "h.sock") ==
        "cannot make the directory " + (far / "such").string() + ": No such file or directory");
}

TEST_CASE_FIXTURE(Fixture, "when it stops, the socket file and the lock are gone and the folder stays") {
  auto listener = open(io, path);
  CHECK(is_there(path));
  listener->stop();
  CHECK_FALSE(is_there(path));
  CHECK_FALSE(is_there(lock_of(path)));
  CHECK(fs::is_empty(folder.path()));
  listener->stop();  // a second stop does nothing
}

TEST_CASE_FIXTURE(Fixture, "a listener that is destroyed has stopped") {
  { auto listener = open(io, path); }
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE_FIXTURE(Fixture, "the path can be served again after a stop") {
  open(io, path)->stop();
  auto listener = open(io, path);
  CHECK(connect_to(path));
}

TEST_CASE_FIXTURE(Fixture, "a socket file that was put in the place of its own is left alone when it stops") {
  auto listener = open(io, path);
  const UniqueFd other = serve(folder / "other.sock");
  fs::rename(folder / "other.sock", path);
  listener->stop();
  CHECK(is_there(path));
  CHECK(connect_to(path));
}

TEST_CASE_FIXTURE(Fixture, "stopping after the socket file was removed does no harm") {
  auto listener = open(io, path);
  fs::remove(path);
  listener->stop();
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE_FIXTURE(Fixture, "a socket file that a dead supervisor left is taken over") {
  serve(path).reset();
  REQUIRE(is_there(path));
  folder.write("h.sock.lock", "");  // the dead supervisor left its lock file, too
  auto listener = open(io, path);
  CHECK(connect_to(path));
}

TEST_CASE_FIXTURE(Fixture, "a second listener on a path is refused, and the first one goes on") {
  auto first = open(io, path);
  const std::string text = refusal(io, path);
  CHECK(text == "another supervisor serves " + path.string() + " already; stop it first, or choose another --socket");
  CHECK(connect_to(path));
  CHECK(is_there(lock_of(path)));
  first->stop();
  CHECK_FALSE(is_there(path));
}

TEST_CASE_FIXTURE(Fixture, "a path that another program serves is refused and left as it is") {
  const UniqueFd other = serve(path);
  const auto inode = status_of(path).st_ino;
  CHECK(refusal(io, path).starts_with("another program serves " + path.string()));
  CHECK(status_of(path).st_ino == inode);
  CHECK(connect_to(path));
  CHECK_FALSE(is_there(lock_of(path)));
}

TEST_CASE_FIXTURE(Fixture, "a path that is not a socket is refused and left as it is") {
  SUBCASE("a file") { folder.write("h.sock", "precious"); }
  SUBCASE("a folder") { fs::create_directory(path); }
  SUBCASE("a link to a socket") {
    serve(folder / "left.sock").reset();
    fs::create_symlink("left.sock", path);
  }
  SUBCASE("a link to nothing") { fs::create_symlink("nothing", path); }
  const auto before = status_of(path);
  CHECK(refusal(io, path) == path.string() + " exists and is not a socket; remove it, or choose another --socket");
  CHECK(status_of(path).st_ino == before.st_ino);
  CHECK_FALSE(is_there(lock_of(path)));
}

TEST_CASE_FIXTURE(Fixture, "a lock that is a link is not followed") {
  fs::create_symlink(folder / "elsewhere", lock_of(path));
  CHECK(refusal(io, path).starts_with("cannot open " + lock_of(path).string()));
  CHECK_FALSE(is_there(folder / "elsewhere"));
}

TEST_CASE_FIXTURE(Fixture, "a path that no address can hold is an error that says how long it may be") {
  const std::string longest = folder.path().string() + "/" + std::string(107 - folder.path().string().size() - 1, 'x');
  {
    // The lock's path is longer than a socket address can be, which does not matter.
    auto listener = open(io, longest);
    CHECK(connect_to(longest));
  }
  const std::string text = refusal(io, longest + "x");
  CHECK(text == "the socket's path " + longest + "x has 108 bytes; at most 107 are allowed");
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE_FIXTURE(Fixture, "a lock file that was removed while it was being locked is no lock") {
  // Another supervisor has locked a file that was removed since, so its lock says nothing about the path.
  const UniqueFd removed(::open(lock_of(path).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(::flock(removed.get(), LOCK_EX | LOCK_NB) == 0);
  CHECK(refusal(io, path).starts_with("another supervisor serves"));
  fs::remove(lock_of(path));
  auto listener = open(io, path);
  CHECK(refusal(io, path).starts_with("another supervisor serves"));
}

TEST_CASE_FIXTURE(Fixture, "a lock that has another name, or is no file, is refused and left as it is") {
  std::string expected;
  SUBCASE("another name") {
    folder.write("precious", "text");
    fs::create_hard_link(folder / "precious", lock_of(path));
    expected = "is not a plain file with one name";
  }
  SUBCASE("a pipe") {
    REQUIRE(::mkfifo(lock_of(path).c_str(), 0600) == 0);
    expected = "is not a plain file with one name";
  }
  check_lock_is_refused(expected);
}

TEST_CASE_FIXTURE(Fixture, "a lock that is another user's is refused and left as it is" * test::needs_root()) {
  folder.write("h.sock.lock", "");
  REQUIRE(::chown(lock_of(path).c_str(), 65534, 65534) == 0);
  check_lock_is_refused("belongs to user 65534, not to user 0");
}

TEST_CASE_FIXTURE(Fixture, "root serves in no directory where others could exchange its files" * test::needs_root()) {
  const fs::path directory = folder / "shared";
  path = directory / "h.sock";
  fs::create_directory(directory);
  const auto outcome = [&](uid_t owner, mode_t mode) {
    REQUIRE(::chown(directory.c_str(), owner, 0) == 0);
    REQUIRE(::chmod(directory.c_str(), mode) == 0);
    auto opened = Listener::open(io, path.string(), 0600);
    CHECK(is_there(path) == opened.has_value());
    return opened ? std::string("served") : opened.error();
  };
  CHECK(outcome(0, 0755) == "served");
  CHECK(outcome(0, 01777) == "served");
  CHECK(outcome(65534, 0755).starts_with("the socket's directory " + directory.string() + " belongs to user 65534"));
  CHECK(outcome(65534, 01777).starts_with("the socket's directory " + directory.string() + " belongs to user 65534"));
  for (mode_t mode : {mode_t{0775}, mode_t{0757}}) {
    CHECK(outcome(0, mode).find("users other than root could replace files there") != std::string::npos);
  }
  CHECK(fs::is_empty(directory));
}

TEST_CASE_FIXTURE(Fixture,
                  "the files of a listener are made and removed in its directory wherever the name leads later") {
  fs::create_directory(folder / "one");
  fs::create_directory(folder / "other");
  path = folder / "name";
  fs::create_directory_symlink("one", path);
  path /= "h.sock";
  auto listener = open(io, path);
  fs::remove(folder / "name");
  fs::create_directory_symlink("other", folder / "name");
  serve(path).reset();
  listener->stop();
  CHECK(fs::is_empty(folder / "one"));
  CHECK(is_there(path));
}

TEST_CASE_FIXTURE(Fixture, "the current directory is the same before and after") {
  const fs::path before = fs::current_path();
  auto listener = open(io, path);
  CHECK(fs::current_path() == before);
}

// The directory's owner exchanges each new socket for a link to another file, as fast as it can.
TEST_CASE("the mode of the socket is given to no other file, whoever exchanges files meanwhile" * test::needs_root()) {
  QuietLog quiet;
  boost::asio::io_context io;
  TemporaryFolder folder;
  const fs::path target = folder / "target";
  folder.write("target", "precious");
  ::chmod(target.c_str(), 0600);
  ::chmod(folder.path().c_str(), 0711);
  const fs::path directory = folder / "evil";
  fs::create_directory(directory);
  REQUIRE(::chown(directory.c_str(), 65534, 65534) == 0);
  const fs::path path = directory / "h.sock";
  std::fflush(nullptr);
  const pid_t attacker = ::fork();
  if (attacker == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0 || ::chdir(directory.c_str()) != 0) ::_exit(1);
    for (;;) {
      if (::rename("h.sock", "aside") != 0) continue;
      (void)!::symlink("../target", "h.sock");
      ::usleep(200);
      ::unlink("h.sock");
      ::unlink("aside");
      ::unlink("h.sock.lock");
    }
  }
  REQUIRE(attacker > 0);
  for (int i = 0; i < 200; ++i) (void)Listener::open(io, path.string(), 0666);
  ::kill(attacker, SIGKILL);
  REQUIRE(::waitpid(attacker, nullptr, 0) == attacker);
  CHECK((status_of(target).st_mode & 07777) == 0600);
}

// Each listening supervisor makes a mark; a second one at the same time would find the mark there.
TEST_CASE_FIXTURE(Fixture, "no two supervisors that come and go on one path serve it at a time") {
  constexpr int kSupervisors = 4;
  constexpr int kRounds = 50;
  const fs::path mark = folder / "mark";
  std::vector<pid_t> children;
  std::fflush(nullptr);
  for (int i = 0; i < kSupervisors; ++i) {
    const pid_t child = ::fork();
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    int served = 0;
    while (served < kRounds) {
      auto listener = Listener::open(io, path.string(), 0600);
      if (!listener) continue;
      const int taken = ::open(mark.c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0600);
      if (taken < 0) ::_exit(1);
      ::close(taken);
      // A listener must answer on its own path.
      if (!connect_to(path)) ::_exit(2);
      ::unlink(mark.c_str());
      (*listener)->stop();
      ++served;
    }
    ::_exit(0);
  }
  for (pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  CHECK(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace holdfast::supervisor
