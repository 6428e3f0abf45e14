// File descriptors: one that its holder owns, and one that its holder only uses. -1 means "none" in both.
#pragma once

#include <unistd.h>

#include <utility>

namespace holdfast {

// An owned file descriptor: closed when its owner goes away. Move-only.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  // The descriptor, still owned here.
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  // Gives the descriptor to the caller, which must close it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

// A file descriptor that something else owns, and keeps open for as long as this one is in use. A function takes one
// where a caller has a UniqueFd, or a descriptor of a library's or of the process's own.
class BorrowedFd {
 public:
  BorrowedFd() = default;
  BorrowedFd(const UniqueFd& owner)
      : fd_(owner.get()) {}  // NOLINT(google-explicit-constructor): as a reference would be
  BorrowedFd(UniqueFd&&) = delete;
  explicit BorrowedFd(int fd) : fd_(fd) {}

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace holdfast
