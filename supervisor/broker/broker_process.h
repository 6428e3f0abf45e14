// The broker's process, and the packets between it and the supervisor.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "ipc/base/module_name.h"
#include "supervisor/broker/broker.h"

namespace holdfast::supervisor {

// One packet. start_zygote has the control socket and the broker's end of the liveness pipe attached; look_at,
// open_memory and count_mappings have a pidfd attached.
struct BrokerRequest {
  enum class Kind : std::uint32_t {
    start_zygote,
    open_module,
    look_at,
    open_memory,
    count_mappings,
    remove_socket,
    open_settings,
    watch_modules
  };
  static constexpr std::size_t kMaxNameBytes = 256;

  Kind kind{};
  bool single = false;
  std::uint64_t serial = 0;         // of the request
  std::uint64_t single_worker = 0;  // with `single`: the worker's id
  char module[kMaxNameBytes] = {};  // ends with a 0
  char version[kMaxNameBytes] = {};

  // False: a part is longer than any name may be.
  bool set_name(const ipc::ModuleName& name) {
    if (name.module.size() >= kMaxNameBytes || name.version.size() >= kMaxNameBytes) return false;
    std::memcpy(module, name.module.data(), name.module.size());
    std::memcpy(version, name.version.data(), name.version.size());
    return true;
  }
};

// One packet, the answer to each request but start_zygote. If `error` is 0, the files that were asked for are
// attached; for watch_modules these are the inotify(7) descriptor and a file with the text of the places.
struct BrokerAnswer {
  std::uint64_t serial = 0;    // of the request that it answers
  int error = 0;               // an errno value
  pid_t pid = 0;               // of look_at
  std::uint32_t mappings = 0;  // of count_mappings
  unsigned endings = 1;        // of open_module: ModuleFile::endings; with several, no file is attached
};
static_assert(std::is_trivially_copyable_v<BrokerRequest> && std::is_trivially_copyable_v<BrokerAnswer>);

// Runs the broker until the process exits. `socket` leads to the supervisor. When it closes, the broker ends every
// program that it has started, and then itself.
[[noreturn]] void run_broker(const Broker::Duties& duties, int socket);

}  // namespace holdfast::supervisor
