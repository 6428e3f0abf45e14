// A zygote, or a single worker without one, as the supervisor sees it: has it started, asks it for workers, and hears
// what became of them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "ipc/worker_messages.h"
#include "supervisor/broker/broker.h"

namespace holdfast::supervisor {

class ZygoteProcess;

// What a zygote says, and that it is gone.
class ZygoteProcessEvents {
 public:
  virtual ~ZygoteProcessEvents() = default;
  // A message, with the descriptors that came with it.
  virtual void zygote_said(ZygoteProcess& zygote, ipc::ZygoteReply reply, std::vector<UniqueFd> fds) = 0;
  // The zygote is gone, and all its workers with it. Called once, after everything that it said.
  virtual void zygote_died(ZygoteProcess& zygote, std::string reason) = 0;
};

class ZygoteProcess {
 public:
  // Has a zygote started; with `single_worker`, a program that becomes the worker with that id. If the start fails,
  // zygote_died() is called. `broker` and `events` must outlive the object.
  ZygoteProcess(boost::asio::io_context& io, Broker& broker, std::optional<std::uint64_t> single_worker,
                ZygoteProcessEvents& events);

  // Has the zygote killed, if it lives, and thereby its workers. Does not wait for their end.
  ~ZygoteProcess();
  ZygoteProcess(const ZygoteProcess&) = delete;
  ZygoteProcess& operator=(const ZygoteProcess&) = delete;

  // Asks for a worker. If the zygote is gone, zygote_died() was called, or will be.
  void request_fork(std::uint64_t worker);

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with handlers under way
};

}  // namespace holdfast::supervisor
