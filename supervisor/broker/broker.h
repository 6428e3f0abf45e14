// The broker is a process that keeps the rights that the supervisor gives up. It starts zygotes, opens and watches
// modules' files, opens the settings file, looks into the workers' memory and removes the socket, and it does nothing
// else. It trusts no request, because the supervisor, which makes the requests, reads what clients and workers send.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/module_name.h"
#include "ipc/base/unique_fd.h"
#include "ipc/packet.h"
#include "supervisor/broker/module_file.h"
#include "supervisor/broker/watched_places.h"

namespace holdfast::supervisor {

struct BrokerRequest;
struct BrokerAnswer;

class Broker {
 public:
  struct Duties {
    std::filesystem::path program;       // holdfast-worker
    std::vector<std::string> arguments;  // of every start; each start adds its own
    std::size_t max_programs = 16;       // running at a time; a start beyond it fails
    std::function<tl::expected<ModuleFile, int>(const ipc::ModuleName&)> open_module;  // fails with an errno value
    std::function<tl::expected<UniqueFd, int>()> open_settings;  // fails with an errno value; none: no settings file
    std::function<void()> remove_socket;
    std::function<tl::expected<WatchedPlaces, int>()> watch_modules;  // fails with an errno value
    std::vector<int> kept;  // descriptors that these functions need; the broker closes all others
  };

  // Forks the broker, which gets a copy of `duties`. Call while the process has one thread and all its rights. The
  // error says which call failed.
  static tl::expected<std::unique_ptr<Broker>, std::string> start(Duties duties);

  // Ends the broker, and with it all zygotes. Waits for that: a few milliseconds, two seconds at most.
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // Starts the worker's program with `control` as its control socket. With `single_worker`, the program becomes the
  // worker with that id instead of a zygote. If the start fails, the control socket says why.
  //
  // Returns the supervisor's end of the liveness pipe. Closing it ends what was started. When that has ended, the
  // pipe becomes readable and holds two texts with a NUL between them: how the program ended, and what may be wrong
  // with a program that ends before it says anything on its control socket. An invalid descriptor: the broker is
  // gone, or no descriptor is left.
  UniqueFd start_zygote(const UniqueFd& control, std::optional<std::uint64_t> single_worker);

  // Opens a module's file by Duties::open_module. Fails with the errno value of that function. EAGAIN: the broker
  // takes longer than a second, as with a file system that hangs; until it has answered, all requests fail so at
  // once. EPIPE: the broker is gone. EMFILE: no descriptor was left for the file.
  tl::expected<ModuleFile, int> open_module(const ipc::ModuleName& name);

  // Opens the settings file that is in its place now, by Duties::open_settings. Fails as open_module() does.
  tl::expected<UniqueFd, int> open_settings();

  // Watches modules' files by Duties::watch_modules. Fails as open_module() does, and with EIO if the list of places
  // cannot be read.
  tl::expected<WatchedPlaces, int> watch_modules();

  // Process info of a zygote or worker.
  struct ProcessInfo {
    pid_t pid = 0;    // in the supervisor's pid namespace; 0: the process is gone or not the broker's, or no answer
    UniqueFd statm;   // /proc/PID/statm
    UniqueFd status;  // /proc/PID/status
  };
  ProcessInfo look_at(const UniqueFd& pidfd);

  // /proc/PID/smaps_rollup of a zygote or worker. An invalid descriptor: it cannot be opened, or the process has so
  // many mappings that reading it would take long.
  UniqueFd open_memory(const UniqueFd& pidfd);

  // How many memory mappings a zygote or worker has, counted up to kMostMappingsCounted; nothing if they cannot be
  // counted. Takes a tenth of a millisecond for most workers, and some tens of milliseconds at most.
  std::optional<std::uint32_t> count_mappings(const UniqueFd& pidfd);
  static constexpr std::uint32_t kMostMappingsCounted = 60'000;

  void remove_socket();

  // Readable when the broker is gone or has sent a late answer. drop_late_answers() returns false if the broker is
  // gone; the supervisor can then only end.
  const UniqueFd& socket() const { return socket_; }
  [[nodiscard]] bool drop_late_answers();

 private:
  Broker(UniqueFd socket, pid_t pid) : socket_(std::move(socket)), pid_(pid) {}
  std::optional<ipc::Packet> ask(BrokerRequest& request, std::span<const BorrowedFd> fds, BrokerAnswer& answer);
  tl::expected<UniqueFd, int> ask_for_file(BrokerRequest& request);
  tl::expected<ModuleFile, int> ask_for_module_file(BrokerRequest& request);
  bool happens(short events, int millis) const;
  std::optional<ipc::Packet> receive(BrokerAnswer& answer);

  UniqueFd socket_;
  std::uint64_t last_serial_ = 0;  // of the last request
  std::size_t late_answers_ = 0;   // still to come, to requests that have timed out
  const pid_t pid_;
};

}  // namespace holdfast::supervisor
