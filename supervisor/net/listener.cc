#include "supervisor/net/listener.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "ipc/base/descriptor_refusal.h"
#include "ipc/base/invariant.h"
#include "ipc/socket_path.h"

namespace holdfast::supervisor {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Protocol = asio::local::stream_protocol;

// How long to wait for the next try while clients cannot be accepted.
constexpr std::chrono::milliseconds kAcceptRetry{50};
// How often to log that clients cannot be accepted.
constexpr std::chrono::minutes kWarnPause{1};

std::string failed(const std::string& what, const std::string& path) {
  return fmt::format("cannot {} {}: {}", what, path, std::strerror(errno));
}

// Changes the current directory while it lives: the only way to reach a socket in a directory that is held by a
// descriptor (there is no bindat(2)). The process has one thread.
class Inside {
 public:
  explicit Inside(const UniqueFd& directory) : before_(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    if (::fchdir(directory.get()) != 0) before_.reset();
  }
  ~Inside() {
    // If the way back is gone, "/" will do.
    const bool is_back = !before_ || ::fchdir(before_.get()) == 0 || ::chdir("/") == 0;
    expect(is_back, "the current directory can be changed back, or to /");
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  explicit operator bool() const { return bool(before_); }

 private:
  UniqueFd before_;
};

bool is_same_file(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// If root runs this, no other user may be able to replace root's files by links or by other files.
std::optional<std::string> problem_of_directory(const struct stat& status, const std::string& path) {
  if (::geteuid() != 0) return std::nullopt;
  if (status.st_uid != 0) {
    return fmt::format(
        "the socket's directory {} belongs to user {}, who could replace root's files there; have root own it "
        "(chown root {}), or start holdfastd as that user",
        path, status.st_uid, path);
  }
  const bool others_write = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  if (!others_write || (status.st_mode & S_ISVTX) != 0) return std::nullopt;
  return fmt::format(
      "the socket's directory {} has mode {:04o}: users other than root could replace files there; take their write "
      "permission (chmod go-w {}), or set the sticky bit (chmod +t {})",
      path, status.st_mode & 07777, path, path);
}

// The directory of the socket; it is made if it is missing.
tl::expected<UniqueFd, std::string> open_directory(const std::filesystem::path& socket_path) {
  const std::string path = socket_path.has_parent_path() ? socket_path.parent_path().string() : ".";
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return tl::unexpected(failed("make the directory", path));
  UniqueFd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat status;
  if (!directory || ::fstat(directory.get(), &status) != 0) return tl::unexpected(failed("open the directory", path));
  if (auto problem = problem_of_directory(status, path)) return tl::unexpected(std::move(*problem));
  return directory;
}

// In a directory where others may make files (/tmp), the lock file can belong to another user.
std::optional<std::string> problem_of_lock(const struct stat& status, const std::string& path) {
  if (S_ISREG(status.st_mode) && status.st_uid == ::geteuid() && status.st_nlink <= 1) return std::nullopt;
  if (S_ISREG(status.st_mode) && status.st_uid != ::geteuid()) {
    return fmt::format("the lock file {} belongs to user {}, not to user {}; remove it, or choose another --socket",
                       path, status.st_uid, ::geteuid());
  }
  return fmt::format("the lock file {} is not a plain file with one name; remove it, or choose another --socket", path);
}

// Takes the lock beside the socket. If a supervisor that has just left removed the locked file, the lock proves
// nothing, and the file that is there now is locked instead.
tl::expected<UniqueFd, std::string> take_lock(const UniqueFd& directory, const std::string& name,
                                              const std::string& socket_path) {
  const std::string path = socket_path + ".lock";
  for (;;) {
    UniqueFd lock(
        ::openat(directory.get(), name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    struct stat locked, present;
    if (!lock || ::fstat(lock.get(), &locked) != 0) return tl::unexpected(failed("open", path));
    if (auto problem = problem_of_lock(locked, path)) return tl::unexpected(std::move(*problem));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return tl::unexpected(failed("lock", path));
      return tl::unexpected(
          fmt::format("another supervisor serves {} already; stop it first, or choose another "
                      "--socket",
                      socket_path));
    }
    if (::fstatat(directory.get(), name.c_str(), &present, AT_SYMLINK_NOFOLLOW) == 0 && is_same_file(locked, present)) {
      return lock;
    }
  }
}

// Makes the name free for bind(2). Call under the lock and inside the directory.
tl::expected<void, std::string> clear_name(asio::io_context& io, const std::string& name, const std::string& path) {
  struct stat present;
  if (::lstat(name.c_str(), &present) != 0) return {};
  if (!S_ISSOCK(present.st_mode)) {
    return tl::unexpected(fmt::format("{} exists and is not a socket; remove it, or choose another --socket", path));
  }
  Protocol::socket probe(io);
  error_code error;
  probe.connect(Protocol::endpoint(name), error);
  if (!error) {
    return tl::unexpected(
        fmt::format("another program serves {} already; stop it first, or choose another --socket", path));
  }
  spdlog::info("{} was left by a supervisor that has ended; taking it over", path);
  ::unlink(name.c_str());
  return {};
}

std::string lock_of(const std::string& name) { return name + ".lock"; }

}  // namespace

Listener::Listener(asio::io_context& io, UniqueFd directory, std::string name, UniqueFd lock)
    : acceptor_(io), retry_(io), directory_(std::move(directory)), name_(std::move(name)), lock_(std::move(lock)) {
  struct stat locked;
  if (::fstat(lock_.get(), &locked) == 0) lock_inode_ = locked.st_ino;
}

tl::expected<std::unique_ptr<Listener>, std::string> Listener::open(asio::io_context& io, const std::string& path,
                                                                    mode_t mode) {
  if (auto problem = ipc::socket_path_problem(path)) return tl::unexpected(std::move(*problem));
  auto directory = open_directory(path);
  if (!directory) return tl::unexpected(directory.error());
  std::string name = std::filesystem::path(path).filename();
  auto lock = take_lock(*directory, lock_of(name), path);
  if (!lock) return tl::unexpected(lock.error());
  // Owned from here on, so that an error below removes the lock file too.
  std::unique_ptr<Listener> listener(new Listener(io, std::move(*directory), std::move(name), std::move(*lock)));
  const Inside inside(listener->directory_);
  if (!inside) return tl::unexpected(failed("enter the directory of", path));
  if (auto cleared = clear_name(io, listener->name_, path); !cleared) return tl::unexpected(cleared.error());
  if (auto bound = listener->bind(path, mode); !bound) return tl::unexpected(bound.error());
  return listener;
}

// Call inside the directory.
tl::expected<void, std::string> Listener::bind(const std::string& path, mode_t mode) {
  error_code error;
  acceptor_.open(Protocol(), error);
  if (!error) refuses_descriptors_ = ipc::refuse_descriptors(acceptor_.native_handle());
  // The file has its mode from the beginning: a later change by name could change another file.
  const mode_t mask = ::umask(~mode & 0777);
  if (!error) acceptor_.bind(Protocol::endpoint(name_), error);
  ::umask(mask);
  struct stat made;
  if (!error && ::lstat(name_.c_str(), &made) == 0) {
    inode_ = made.st_ino;
    if ((made.st_mode & 07777) != mode) {
      return tl::unexpected(fmt::format(
          "the socket {} was made with mode {:04o} instead of {:04o}: its directory sets permissions of its own; "
          "remove its default ACL (setfacl -k), or choose another --socket",
          path, made.st_mode & 07777, mode));
    }
  }
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return tl::unexpected(fmt::format("cannot listen on {}: {}", path, error.message()));
  return {};
}

Listener::~Listener() { stop(); }

void Listener::stop() {
  if (std::exchange(stopped_, true)) return;
  error_code ignored;
  retry_.cancel();
  if (close_ && acceptor_.is_open()) {
    close_(UniqueFd(acceptor_.release(ignored)));
  } else {
    acceptor_.close(ignored);
  }
  if (remove_) {
    remove_();
  } else {
    remove_files();
  }
  lock_.reset();
}

void Listener::remove_files() const {
  struct stat present;
  const auto is_there = [&](const std::string& name) {
    return ::fstatat(directory_.get(), name.c_str(), &present, AT_SYMLINK_NOFOLLOW) == 0;
  };
  if (inode_ != 0 && is_there(name_) && present.st_ino == inode_) ::unlinkat(directory_.get(), name_.c_str(), 0);
  const std::string lock = lock_of(name_);
  if (is_there(lock) && present.st_ino == lock_inode_) ::unlinkat(directory_.get(), lock.c_str(), 0);
}

void Listener::start(std::function<void(Socket)> accepted) {
  accepted_ = std::move(accepted);
  accept();
}

void Listener::accept() {
  if (may_accept_ && !may_accept_()) return accept_later("too many connections that have ended wait to be closed");
  acceptor_.async_accept([this](const error_code& error, Socket socket) {
    if (stopped_ || error == asio::error::operation_aborted) return;
    // Out of descriptors or memory.
    if (error) return accept_later(error.message());
    accepted_(std::move(socket));
    accept();
  });
}

// Until then, clients wait in the kernel's queue.
void Listener::accept_later(const std::string& reason) {
  if (const auto now = std::chrono::steady_clock::now(); now >= warn_again_at_) {
    warn_again_at_ = now + kWarnPause;
    spdlog::warn("cannot accept clients: {}; trying again", reason);
  }
  retry_.expires_after(kAcceptRetry);
  retry_.async_wait([this](const error_code& cancelled) {
    if (!cancelled && !stopped_) accept();
  });
}

}  // namespace holdfast::supervisor
