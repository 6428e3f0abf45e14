#include "supervisor/serve.h"

#include <fcntl.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <functional>
#include <string>
#include <vector>

#include "ipc/base/text.h"
#include "ipc/base/unique_fd.h"
#include "supervisor/modules/module_watch.h"
#include "supervisor/net/event_loop.h"
#include "supervisor/own_sandbox.h"
#include "supervisor/supervisor.h"

namespace holdfast::supervisor {
namespace {

namespace asio = boost::asio;

// s6's readiness notification (https://skarnet.org/software/s6/notifywhenup.html).
void announce_ready(std::optional<int> fd) {
  if (!fd) return;
  const UniqueFd ready(*fd);
  if (::write(ready.get(), "\n", 1) != 1) spdlog::warn("cannot write to --ready-fd {}", *fd);
}

void say(asio::posix::stream_descriptor& monitor, MonitorByte byte) {
  (void)!::send(monitor.native_handle(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

SupervisorOptions with_closer(const Configuration& configuration, const Prepared& prepared) {
  SupervisorOptions options = configuration.supervisor;
  options.closer = prepared.closer.get();
  return options;
}

// If the new settings have errors, the old ones stay.
void reload(const SettingsFile& file, Broker& broker, Supervisor& supervisor) {
  const std::string path = ipc::printable(file.path().string(), ipc::Newlines::escape);
  auto settings = file.read(broker.open_settings());
  if (!settings) {
    for (const std::string& error : settings.error()) spdlog::error("{}", error);
    return spdlog::error("SIGHUP: {} has errors; the settings are unchanged", path);
  }
  const std::size_t tables = settings->table_count();
  if (const auto problem = supervisor.apply(std::move(*settings))) {
    return spdlog::error("SIGHUP: {}: {}; the settings are unchanged", path, *problem);
  }
  spdlog::info("settings reloaded from {}; modules or versions with settings of their own: {}", path, tables);
}

// Waits for signals of some numbers, and hands each that comes to a function.
class SignalWait {
 public:
  using Handle = std::function<void(int signal)>;

  SignalWait(asio::io_context& io, const std::vector<int>& numbers, Handle handle)
      : signals_(io), handle_(std::move(handle)) {
    for (int number : numbers) signals_.add(number);
  }

  void start() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      handle_(signal);
      start();
    });
  }
  void cancel() { signals_.cancel(); }

 private:
  asio::signal_set signals_;
  const Handle handle_;
};

class Server {
 public:
  Server(const Configuration& configuration, Prepared& prepared, std::optional<Served> served);

  // Returns holdfastd's exit status.
  int run();

 private:
  bool add_only_client(int number);
  void accept_clients();
  void shut_down();
  void shut_down_at_once();
  void reload_settings();
  void end(const std::string& failure);
  void await_brokers_end();
  void await_monitor();
  void do_as_told(MonitorByte byte);

  const Configuration& configuration_;
  Prepared& prepared_;
  // Whether this process reports on --ready-fd that clients are accepted: true for the first server, not for a
  // replacement.
  const bool announces_ready_;
  int status_ = 0;
  SignalWait ends_, hangups_, reserved_;    // of no signals if the monitor gets them
  asio::posix::stream_descriptor monitor_;  // closed: there is none
  asio::posix::stream_descriptor broker_end_;
  Supervisor supervisor_;
  ModuleWatch watch_;
};

// `numbers`, or nothing if the monitor gets the signals.
std::vector<int> unless_monitored(const std::optional<Served>& served, std::vector<int> numbers) {
  return served ? std::vector<int>() : numbers;
}

Server::Server(const Configuration& configuration, Prepared& prepared, std::optional<Served> served)
    : configuration_(configuration),
      prepared_(prepared),
      announces_ready_(!served || served->is_first),
      ends_(prepared.io, unless_monitored(served, {SIGTERM, SIGINT, SIGQUIT}),
            [this](int signal) { signal == SIGQUIT ? shut_down_at_once() : shut_down(); }),
      hangups_(prepared.io, unless_monitored(served, {SIGHUP}), [this](int) { reload_settings(); }),
      reserved_(prepared.io, unless_monitored(served, {SIGUSR1, SIGUSR2}),
                [](int signal) { spdlog::info("SIG{} ignored: reserved for later use", ::sigabbrev_np(signal)); }),
      monitor_(prepared.io),
      broker_end_(prepared.io, ::dup(prepared.broker->socket().get())),
      supervisor_(prepared.io, with_closer(configuration, prepared), prepared.sources, *prepared.broker,
                  [this](const std::string& failure) { end(failure); }),
      watch_(prepared.io, prepared.sources.directories(),
             {.changed = [this](const auto& files) { supervisor_.module_files_changed(files); },
              .everything_may_have_changed = [this] { supervisor_.all_module_files_may_have_changed(); },
              .watch_again = [this] { return prepared_.broker->watch_modules(); }}) {
  if (served) monitor_.assign(served->monitor.release());
}

int Server::run() {
  await_brokers_end();
  ends_.start();
  watch_.start();
  supervisor_.watch_files_by(watch_);
  hangups_.start();
  reserved_.start();
  if (monitor_.is_open()) await_monitor();

  const Options& options = configuration_.options;
  if (options.client_fd && !add_only_client(*options.client_fd)) return 1;
  if (!may_serve(give_up_rights(prepared_.client_descriptors()), options.allow_missing)) {
    prepared_.stop_listening();
    return 1;
  }
  supervisor_.start([this] { accept_clients(); });
  if (monitor_.is_open()) say(monitor_, MonitorByte::is_serving);
  supervisor::run(prepared_.io, supervisor_.turn(), configuration_.busy_poll(),
                  [this] { return supervisor_.has_open_calls() ? WaitFor::answers : WaitFor::calls; });
  return status_;
}

// False: it is no connected socket, and the log says so.
bool Server::add_only_client(int number) {
  for (int fd : {number, configuration_.options.ready_fd.value_or(-1)}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  Listener::Socket client(prepared_.io);
  boost::system::error_code error;
  client.assign(asio::local::stream_protocol(), number, error);
  if (error) {
    spdlog::critical("--client-fd {} is not a connected socket: {}", number, error.message());
    return false;
  }
  // When its only client has left, there is no client to finish calls for.
  supervisor_.add_client(std::move(client), [this] {
    supervisor_.begin_shutdown();
    supervisor_.begin_shutdown();
  });
  return true;
}

void Server::accept_clients() {
  const Options& options = configuration_.options;
  if (prepared_.listener) {
    prepared_.listener->start([this](Listener::Socket socket) { supervisor_.add_client(std::move(socket)); });
    spdlog::info("holdfastd {} listens on {}", HOLDFAST_VERSION, options.socket);
  }
  if (announces_ready_) announce_ready(options.ready_fd);
}

void Server::shut_down() {
  prepared_.stop_listening();
  supervisor_.begin_shutdown();
}

void Server::shut_down_at_once() {
  shut_down();
  supervisor_.begin_shutdown();  // a second time: without the wait
}

void Server::reload_settings() {
  if (configuration_.has_settings_file()) {
    reload(configuration_.settings_file, *prepared_.broker, supervisor_);
  } else {
    spdlog::info("SIGHUP: there are no settings to reload: holdfastd was started without --config");
  }
}

// The supervisor has nothing left to do. `failure`: why it cannot go on; empty after a shutdown.
void Server::end(const std::string& failure) {
  if (!failure.empty()) {
    spdlog::critical("{}", failure);
    status_ = 1;
  }
  prepared_.stop_listening();
  boost::system::error_code ignored;
  broker_end_.close(ignored);
  monitor_.close(ignored);
  ends_.cancel();
  hangups_.cancel();
  reserved_.cancel();
  prepared_.io.stop();
}

// Without the broker, no zygote can be started, and those that ran are gone with it.
void Server::await_brokers_end() {
  broker_end_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    if (prepared_.broker->drop_late_answers()) return await_brokers_end();
    status_ = 1;
    supervisor_.end("the broker has ended; without it no worker can be started");
  });
}

void Server::await_monitor() {
  monitor_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    std::array<MonitorByte, 64> bytes;
    const ssize_t count = ::recv(monitor_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count == 0) {
      status_ = 1;
      return supervisor_.end("the monitor has ended");
    }
    for (ssize_t i = 0; i < count && monitor_.is_open(); ++i) do_as_told(bytes.at(static_cast<std::size_t>(i)));
    if (monitor_.is_open()) await_monitor();
  });
}

void Server::do_as_told(MonitorByte byte) {
  if (byte == MonitorByte::ask) say(monitor_, MonitorByte::ask);
  if (byte == MonitorByte::end) shut_down();
  if (byte == MonitorByte::quit) shut_down_at_once();
  if (byte == MonitorByte::reload) reload_settings();
}

}  // namespace

int serve(const Configuration& configuration, Prepared& prepared, std::optional<Served> served) {
  return Server(configuration, prepared, std::move(served)).run();
}

}  // namespace holdfast::supervisor
