// The broker's own side, and what is said between it and the supervisor.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "ipc/module_name.h"
#include "supervisor/broker.h"

namespace holdfast::supervisor {

// One packet. Attached are, to start_zygote, the control socket and the leash, and to look_at, open_memory and
// count_mappings, a pidfd.
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
  std::uint64_t single_worker = 0;  // with `single`: its id
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

// One packet, for each request but start_zygote. With error 0, a file that was asked for is attached; for
// watch_modules, the inotify(7) descriptor and a file with the text of the places.
struct BrokerAnswer {
  std::uint64_t serial = 0;    // of the request that it answers
  int error = 0;               // an errno value
  pid_t pid = 0;               // of look_at
  std::uint32_t mappings = 0;  // of count_mappings
  unsigned endings = 1;        // of open_module: as ModuleFile has them; with several, no file is attached
};
static_assert(std::is_trivially_copyable_v<BrokerRequest> && std::is_trivially_copyable_v<BrokerAnswer>);

// The broker's whole life. `socket` leads to the supervisor; when that closes, everything that was started is ended.
[[noreturn]] void run_broker(const Broker::Duties& duties, int socket);

}  // namespace holdfast::supervisor
