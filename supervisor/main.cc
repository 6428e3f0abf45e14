// holdfastd: the supervisor.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <variant>

#include "ipc/base/descriptor_refusal.h"
#include "ipc/base/text.h"
#include "ipc/base/unique_fd.h"
#include "sandbox/privileges.h"
#include "supervisor/broker/broker.h"
#include "supervisor/configuration.h"
#include "supervisor/net/closer.h"
#include "supervisor/net/event_loop.h"
#include "supervisor/net/listener.h"
#include "supervisor/log/log_output.h"
#include "supervisor/modules/module_watch.h"
#include "supervisor/monitor.h"
#include "supervisor/options.h"
#include "supervisor/own_process.h"
#include "supervisor/own_sandbox.h"
#include "supervisor/supervisor.h"

namespace {

namespace asio = boost::asio;
using namespace holdfast;
using namespace holdfast::supervisor;

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

// Without a login, the directory of the default socket does not exist.
std::string socket_advice(const std::string& socket) {
  std::error_code ignored;
  const auto directory = std::filesystem::path(socket).parent_path();
  if (directory.empty() || std::filesystem::exists(directory, ignored)) return {};
  return "; name a socket in an existing directory of this user: --socket PATH, or HOLDFAST_SOCKET";
}

// s6's readiness notification (https://skarnet.org/software/s6/notifywhenup.html).
void announce_ready(std::optional<int> fd) {
  if (!fd) return;
  const UniqueFd ready(*fd);
  if (::write(ready.get(), "\n", 1) != 1) spdlog::warn("cannot write to --ready-fd {}", *fd);
}

void say(asio::posix::stream_descriptor& monitor, MonitorByte byte) {
  (void)!::send(monitor.native_handle(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

struct FinishLog {
  FinishLog() = default;
  ~FinishLog() { finish_log(); }
  FinishLog(const FinishLog&) = delete;
  FinishLog& operator=(const FinishLog&) = delete;
};

}  // namespace

int main(int argc, char** argv) {
  mend_inheritance();
  set_up_malloc();
  auto parsed = parse_options(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  const Options& options = std::get<Options>(parsed);
  std::vector<int> inherited;
  for (const auto& fd : {options.ready_fd, options.client_fd}) {
    if (fd) inherited.push_back(*fd);
  }
  close_all_but(inherited);
  set_up_log(options.log_format, options.log_level, options.module_log_level.value_or(options.log_level));
  const FinishLog finish_log_at_end;
  std::optional<Served> served;
  if (!options.client_fd) {
    auto role = serve_under_monitor(options.ready_fd);
    if (const int* status = std::get_if<int>(&role)) return *status;
    served = std::get<Served>(std::move(role));
  }
  const auto configuration = configure(options, raise_descriptor_limit());
  if (!configuration) {
    for (const std::string& error : configuration.error()) fmt::print(stderr, "{}\n", error);
    return 2;
  }
  const SchedulerOptions& options_of_scheduler = configuration->supervisor.scheduler;
  SupervisorOptions options_of_supervisor = configuration->supervisor;

  ModuleSources sources(options.modules);
  for (const auto& [name, file] : options.module_files) sources.add_file(name, file);

  for (const std::string& layer : options.allow_missing) {
    spdlog::warn("--allow-missing {}: workers run without this layer of the sandbox if it cannot be set up", layer);
  }

  bool refuses_descriptors = true;
  if (options.client_fd) {
    refuses_descriptors = ipc::refuse_descriptors(*options.client_fd);
    if (ipc::holds_descriptors(*options.client_fd)) {
      spdlog::critical(
          "--client-fd {}: descriptors were sent on this socket, which is not allowed; send only the protocol",
          *options.client_fd);
      return 1;
    }
  }

  asio::io_context io(1);
  const LogRetry log_retry(io);
  std::unique_ptr<Listener> listener;
  if (!options.client_fd) {
    auto opened = Listener::open(io, options.socket, options.socket_mode);
    if (!opened) {
      spdlog::critical("{}{}", opened.error(), socket_advice(options.socket));
      return 1;
    }
    listener = std::move(*opened);
    refuses_descriptors = listener->refuses_descriptors();
  }
  const auto may_be_missing = [&](const sandbox::SetupResult& result) {
    if (result) return true;
    const auto& layers = options.allow_missing;
    const bool allowed = std::find(layers.begin(), layers.end(), result.error().layer) != layers.end();
    spdlog::log(allowed ? spdlog::level::warn : spdlog::level::critical, "{}: {}", result.error().layer,
                result.error().message);
    if (!allowed && listener) listener->stop();
    return allowed;
  };
  if (!may_be_missing(sandbox::join_new_session_keyring())) return 1;
  std::unique_ptr<Closer> closer;
  if (!refuses_descriptors) {
    auto started =
        Closer::start(io, [] { spdlog::error("the closer has ended; clients can now block holdfastd: restart it"); });
    if (!started) {
      spdlog::critical("cannot start the closer: {}", started.error());
      if (listener) listener->stop();
      return 1;
    }
    closer = std::move(*started);
    if (listener) {
      listener->close_by([&](UniqueFd socket) { closer->close(std::move(socket)); });
      listener->accept_only_if([&] { return closer->may_accept_clients(); });
    }
  }
  // From here on, the broker does what needs more rights than to serve calls.
  auto broker = Broker::start({.program = options.worker_program,
                               .arguments = worker_arguments(*configuration),
                               // A zygote that was replaced lives as long as its last worker.
                               .max_programs = options_of_scheduler.max_workers + options_of_scheduler.max_standby + 16,
                               .open_module = [&](const ModuleName& name) { return sources.open(name); },
                               .open_settings = configuration->has_settings_file()
                                                    ? [&] { return configuration->settings_file.open(); }
                                                    : decltype(Broker::Duties::open_settings)(),
                               .remove_socket =
                                   [&] {
                                     if (listener) listener->remove_files();
                                   },
                               .watch_modules = [&] { return watch_places(sources.directories()); },
                               .kept = listener ? std::vector<int>{listener->directory().get()} : std::vector<int>()});
  if (!broker) {
    spdlog::critical("cannot start the broker: {}", broker.error());
    return 1;
  }
  options_of_supervisor.closer = closer.get();
  sources.set_open([&](const ModuleName& name) { return (*broker)->open_module(name); });
  if (listener) listener->remove_by([&] { (*broker)->remove_socket(); });

  int status = 0;
  asio::signal_set signals(io), hangups(io), reserved(io);
  if (!served) {  // otherwise the monitor gets them
    for (int signal : {SIGTERM, SIGINT, SIGQUIT}) signals.add(signal);
    hangups.add(SIGHUP);
    for (int signal : {SIGUSR1, SIGUSR2}) reserved.add(signal);
  }
  asio::posix::stream_descriptor monitor(io);
  if (served) monitor.assign(served->monitor.release());
  asio::posix::stream_descriptor broker_end(io, ::dup((*broker)->socket().get()));
  Supervisor supervisor(io, options_of_supervisor, sources, **broker, [&](const std::string& failure) {
    if (!failure.empty()) {
      spdlog::critical("{}", failure);
      status = 1;
    }
    if (listener) listener->stop();
    boost::system::error_code ignored;
    broker_end.close(ignored);
    monitor.close(ignored);
    signals.cancel();
    hangups.cancel();
    reserved.cancel();
    io.stop();
  });

  // Without the broker, no zygote can be started, and those that ran are gone with it.
  std::function<void()> await_brokers_end = [&] {
    broker_end.async_wait(asio::posix::stream_descriptor::wait_read, [&](const boost::system::error_code& error) {
      if (error) return;
      if ((*broker)->drop_late_answers()) return await_brokers_end();
      status = 1;
      supervisor.end("the broker has ended; without it no worker can be started");
    });
  };
  await_brokers_end();

  const std::function<void()> shut_down = [&] {
    if (listener) listener->stop();
    supervisor.begin_shutdown();
  };
  std::function<void()> await_signal = [&] {
    signals.async_wait([&](const boost::system::error_code& error, int signal) {
      if (error) return;
      shut_down();
      if (signal == SIGQUIT) supervisor.begin_shutdown();  // a second time: without the wait
      await_signal();
    });
  };
  await_signal();

  ModuleWatch watch(io, sources.directories(),
                    {.changed = [&](const auto& files) { supervisor.module_files_changed(files); },
                     .everything_may_have_changed = [&] { supervisor.all_module_files_may_have_changed(); },
                     .watch_again = [&] { return (*broker)->watch_modules(); }});
  watch.start();
  supervisor.watch_files_by(watch);

  const std::function<void()> reload_settings = [&] {
    if (configuration->has_settings_file()) {
      reload(configuration->settings_file, **broker, supervisor);
    } else {
      spdlog::info("SIGHUP: there are no settings to reload: holdfastd was started without --config");
    }
  };
  std::function<void()> await_hangup = [&] {
    hangups.async_wait([&](const boost::system::error_code& error, int) {
      if (error) return;
      reload_settings();
      await_hangup();
    });
  };
  await_hangup();

  std::function<void()> await_reserved = [&] {
    reserved.async_wait([&](const boost::system::error_code& error, int signal) {
      if (error) return;
      spdlog::info("SIG{} ignored: reserved for later use", ::sigabbrev_np(signal));
      await_reserved();
    });
  };
  await_reserved();
  const auto do_as_told = [&](MonitorByte byte) {
    if (byte == MonitorByte::ask) say(monitor, MonitorByte::ask);
    if (byte == MonitorByte::end || byte == MonitorByte::quit) shut_down();
    if (byte == MonitorByte::quit) supervisor.begin_shutdown();  // a second time: without the wait
    if (byte == MonitorByte::reload) reload_settings();
  };
  std::function<void()> await_monitor = [&] {
    monitor.async_wait(asio::posix::stream_descriptor::wait_read, [&](const boost::system::error_code& error) {
      if (error) return;
      std::array<MonitorByte, 64> bytes;
      const ssize_t count = ::recv(monitor.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (count == 0) {
        status = 1;
        return supervisor.end("the monitor has ended");
      }
      for (ssize_t i = 0; i < count && monitor.is_open(); ++i) do_as_told(bytes.at(static_cast<std::size_t>(i)));
      if (monitor.is_open()) await_monitor();
    });
  };
  if (served) await_monitor();

  if (options.client_fd) {
    for (int fd : {options.client_fd.value(), options.ready_fd.value_or(-1)}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    Listener::Socket client(io);
    boost::system::error_code error;
    client.assign(asio::local::stream_protocol(), *options.client_fd, error);
    if (error) {
      spdlog::critical("--client-fd {} is not a connected socket: {}", *options.client_fd, error.message());
      return 1;
    }
    // When its only client has left, there is no client to finish calls for.
    supervisor.add_client(std::move(client), [&] {
      supervisor.begin_shutdown();
      supervisor.begin_shutdown();
    });
  }
  if (!may_be_missing(
          give_up_rights(closer ? sandbox::ClientDescriptors::possible : sandbox::ClientDescriptors::refused))) {
    return 1;
  }
  supervisor.start([&] {
    if (listener) {
      listener->start([&](Listener::Socket socket) { supervisor.add_client(std::move(socket)); });
      spdlog::info("holdfastd {} listens on {}", HOLDFAST_VERSION, options.socket);
    }
    if (!served || served->is_first) announce_ready(options.ready_fd);
  });
  if (served) say(monitor, MonitorByte::is_serving);
  run(io, supervisor.turn(), configuration->busy_poll(),
      [&] { return supervisor.has_open_calls() ? WaitFor::answers : WaitFor::calls; });
  return status;
}
