// The floor under every call: what the kernel alone takes to move the bytes of a call to another process and back, or
// through a third one in between, as calls are relayed. This process plays the client; a worker and the relay are
// forked. Plain blocking reads and writes on Unix stream sockets; no framing, no scheduling, no isolation, no work.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <sys/types.h>
#include <tl/expected.hpp>

#include "ipc/base/unique_fd.h"

namespace holdfast::cli::bench {

class Floor {
 public:
  enum class Path { direct, relayed };

  // Sizes of what goes to the worker and what comes back; both above 0. For programs with one thread.
  static tl::expected<Floor, std::string> start(Path path, std::size_t request_bytes, std::size_t answer_bytes);

  Floor(Floor&&) noexcept;
  Floor& operator=(Floor&&) = delete;
  // Closing the socket ends the process behind it, which ends the next; both are waited for.
  ~Floor();

  // One way there and back. False if a process of the chain is gone.
  bool round_trip();

 private:
  Floor(UniqueFd socket, std::vector<pid_t> processes, std::size_t request_bytes, std::size_t answer_bytes);

  UniqueFd socket_;
  std::vector<pid_t> processes_;
  std::vector<std::byte> request_;
  std::vector<std::byte> answer_;
};

}  // namespace holdfast::cli::bench
