// The floor under every call: the time that the kernel alone takes to move the bytes of a call to another process and
// back, directly or through a third process, as relayed calls go. This process plays the client; it forks a worker
// and the relay. They use plain blocking reads and writes on Unix stream sockets, with no framing, scheduling,
// isolation or work.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/unique_fd.h"

namespace holdfast::cli::bench {

class Floor {
 public:
  enum class Path { direct, relayed };

  // Starts the processes. `request_bytes` go to the worker and `answer_bytes` come back; both must be above 0. For
  // programs with one thread.
  static tl::expected<Floor, std::string> start(Path path, std::size_t request_bytes, std::size_t answer_bytes);

  Floor(Floor&&) noexcept;
  Floor& operator=(Floor&&) = delete;
  // Ends the processes and waits for them: closing the socket ends the first, which ends the next.
  ~Floor();

  // Sends the request and receives the answer once. False if one of the processes has ended.
  bool round_trip();

 private:
  Floor(UniqueFd socket, std::vector<pid_t> processes, std::size_t request_bytes, std::size_t answer_bytes);

  UniqueFd socket_;
  std::vector<pid_t> processes_;
  std::vector<std::byte> request_;
  std::vector<std::byte> answer_;
};

}  // namespace holdfast::cli::bench
