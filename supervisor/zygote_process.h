// The zygote as the supervisor holds it: starts it, asks it for workers, hears what became of them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ipc/unique_fd.h"
#include "ipc/worker_messages.h"

namespace holdfast::supervisor {

class ZygoteProcess {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // A message, with the descriptors that came with it.
    virtual void zygote_said(ipc::ZygoteReply reply, std::vector<UniqueFd> fds) = 0;
    // It is gone, and all its workers with it. Called once, after everything that it said.
    virtual void zygote_died(std::string reason) = 0;
  };

  // Starts `program` with an empty environment and no descriptor but its end of the control socket and standard
  // error. A start that fails is told by zygote_died(). `owner` must outlive the object.
  ZygoteProcess(boost::asio::io_context& io, const std::filesystem::path& program, std::uint64_t memory_bytes,
                Owner& owner);

  // Kills the zygote, if it lives, and thereby its workers; waits for its end, a few milliseconds.
  ~ZygoteProcess();
  ZygoteProcess(const ZygoteProcess&) = delete;
  ZygoteProcess& operator=(const ZygoteProcess&) = delete;

  // Asks for a worker. If the zygote is gone, zygote_died() is or was called.
  void request_fork(std::uint64_t worker);

 private:
  struct State;
  std::shared_ptr<State> state_;  // handlers under way hold it too
};

}  // namespace holdfast::supervisor
