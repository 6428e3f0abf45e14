// What the supervisor may no longer do itself once it has given up its rights, done by a process that keeps them: start
// zygotes, open and watch modules' files, open the settings file, look into its workers' memory, remove the socket. The
// broker does these things and nothing else; it believes nothing that it is asked, for the one who asks reads what
// clients and workers send.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include <sys/types.h>

#include "ipc/module_name.h"
#include "ipc/packet.h"
#include "ipc/unique_fd.h"
#include "supervisor/module_file.h"
#include "supervisor/watched_places.h"

namespace holdfast::supervisor {

struct BrokerRequest;
struct BrokerAnswer;

class Broker {
 public:
  struct Duties {
    std::filesystem::path program;       // holdfast-worker
    std::vector<std::string> arguments;  // for it, besides those that differ from one start to the next
    std::size_t max_programs = 16;       // at a time; a start beyond it fails
    std::function<tl::expected<ModuleFile, int>(const ipc::ModuleName&)> open_module;  // else an errno value
    std::function<tl::expected<UniqueFd, int>()> open_settings;                        // the same; none: there are none
    std::function<void()> remove_socket;
    std::function<tl::expected<WatchedPlaces, int>()> watch_modules;  // an errno value on failure
    std::vector<int> kept;  // descriptors that these need; the broker closes all others
  };

  // Forks the broker, which takes `duties` along. Call while the process has one thread and all its rights. The error
  // says which call failed.
  static tl::expected<std::unique_ptr<Broker>, std::string> start(Duties duties);

  // Ends the broker, and with it all zygotes; waits for that, a few milliseconds.
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // Starts the worker's program with `control` as its control socket; with a worker's id, to become that one. A start
  // that fails is told on the control socket. Closing the leash that is returned ends what was started; it is readable
  // once that has ended, and tells how (broker_process.h). None: the broker is gone.
  UniqueFd start_zygote(const UniqueFd& control, std::optional<std::uint64_t> single_worker);

  // As Duties::open_module. EAGAIN: the broker takes too long, as with a file system that hangs; until it has answered,
  // whatever it is asked fails so at once.
  tl::expected<ModuleFile, int> open_module(const ipc::ModuleName& name);

  // As Duties::open_settings: the file that is in its place now. Fails as open_module() does.
  tl::expected<UniqueFd, int> open_settings();

  // As Duties::watch_modules. Fails as open_module() does.
  tl::expected<WatchedPlaces, int> watch_modules();

  struct Sight {
    pid_t pid = 0;    // as the supervisor's pid namespace has it; 0: it is gone, or none of the broker's
    UniqueFd statm;   // /proc/PID/statm
    UniqueFd status;  // /proc/PID/status
  };
  Sight look_at(const UniqueFd& pidfd);

  // /proc/PID/smaps_rollup of a zygote or worker; none if it cannot be opened, or if the process has so many mappings
  // that to read it would take long.
  UniqueFd open_memory(const UniqueFd& pidfd);

  // How many memory mappings a zygote or worker has, or kMostMappingsCounted where it has more; nothing if that cannot
  // be seen. Takes a tenth of a millisecond for most workers, and some tens of milliseconds at most.
  std::optional<std::uint32_t> count_mappings(const UniqueFd& pidfd);
  static constexpr std::uint32_t kMostMappingsCounted = 60'000;

  void remove_socket();

  // Readable when the broker is gone, or has given a late answer; drop_late_answers() tells which. If it is gone, there
  // is nothing left to do but to end.
  const UniqueFd& socket() const { return socket_; }
  [[nodiscard]] bool drop_late_answers();

 private:
  Broker(UniqueFd socket, pid_t pid) : socket_(std::move(socket)), pid_(pid) {}
  std::optional<ipc::Packet> ask(BrokerRequest& request, std::span<const int> fds, BrokerAnswer& answer);
  tl::expected<UniqueFd, int> ask_for_file(BrokerRequest& request);
  tl::expected<ModuleFile, int> ask_for_module_file(BrokerRequest& request);
  bool happens(short events, int millis) const;
  std::optional<ipc::Packet> receive(BrokerAnswer& answer);

  UniqueFd socket_;
  std::uint64_t last_serial_ = 0;  // of a request
  std::size_t late_answers_ = 0;   // that were not waited for any longer, and have not come
  const pid_t pid_;
};

}  // namespace holdfast::supervisor
