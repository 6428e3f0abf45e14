#include "supervisor/prepare.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include "ipc/base/descriptor_refusal.h"
#include "ipc/base/unique_fd.h"
#include "sandbox/privileges.h"

namespace holdfast::supervisor {
namespace {

// Without a login, the directory of the default socket does not exist.
std::string socket_advice(const std::string& socket) {
  std::error_code ignored;
  const auto directory = std::filesystem::path(socket).parent_path();
  if (directory.empty() || std::filesystem::exists(directory, ignored)) return {};
  return "; name a socket in an existing directory of this user: --socket PATH, or HOLDFAST_SOCKET";
}

using sandbox::ClientDescriptors;

// Checks the socket of the only client. Nothing: it cannot be served, and the log says why.
std::optional<ClientDescriptors> check_only_client(int number) {
  const bool refuses_descriptors = ipc::refuse_descriptors(number);
  if (ipc::holds_descriptors(number)) {
    spdlog::critical(
        "--client-fd {}: descriptors were sent on this socket, which is not allowed; send protocol frames only",
        number);
    return std::nullopt;
  }
  return refuses_descriptors ? ClientDescriptors::refused : ClientDescriptors::possible;
}

// Makes Prepared::listener. Nothing: the socket cannot be served, and the log says why.
std::optional<ClientDescriptors> listen(const Options& options, Prepared& prepared) {
  auto opened = Listener::open(prepared.io, options.socket, options.socket_mode);
  if (!opened) {
    spdlog::critical("{}{}", opened.error(), socket_advice(options.socket));
    return std::nullopt;
  }
  prepared.listener = std::move(*opened);
  return prepared.listener->refuses_descriptors() ? ClientDescriptors::refused : ClientDescriptors::possible;
}

// Makes Prepared::closer. False: it cannot be started, and the log says why.
bool start_closer(Prepared& prepared) {
  auto started = Closer::start(
      prepared.io, [] { spdlog::error("the closer has ended; clients can now block holdfastd: restart it"); });
  if (!started) {
    spdlog::critical("cannot start the closer: {}", started.error());
    return false;
  }
  prepared.closer = std::move(*started);
  if (Listener* listener = prepared.listener.get()) {
    Closer* const closer = prepared.closer.get();
    listener->close_by([closer](UniqueFd socket) { closer->close(std::move(socket)); });
    listener->accept_only_if([closer] { return closer->may_accept_clients(); });
  }
  return true;
}

// Makes Prepared::broker. From then on, the broker does what needs more rights than to serve calls. False: it cannot be
// started, and the log says why.
bool start_broker(const Configuration& configuration, Prepared& prepared) {
  const SchedulerOptions& scheduler = configuration.supervisor.scheduler;
  Listener* const listener = prepared.listener.get();
  auto started = Broker::start(
      {.program = configuration.options.worker_program,
       .arguments = worker_arguments(configuration),
       // A zygote that was replaced lives as long as its last worker.
       .max_programs = scheduler.max_workers + scheduler.max_standby + 16,
       .open_module = [&](const ModuleName& name) { return prepared.sources.open(name); },
       .open_settings = configuration.has_settings_file() ? [&] { return configuration.settings_file.open(); }
                                                          : decltype(Broker::Duties::open_settings)(),
       .remove_socket =
           [listener] {
             if (listener != nullptr) listener->remove_files();
           },
       .watch_modules = [&] { return watch_places(prepared.sources.directories()); },
       .kept = listener != nullptr ? std::vector<int>{listener->directory().get()} : std::vector<int>()});
  if (!started) {
    spdlog::critical("cannot start the broker: {}", started.error());
    return false;
  }
  prepared.broker = std::move(*started);
  Broker* const broker = prepared.broker.get();
  prepared.sources.set_open([broker](const ModuleName& name) { return broker->open_module(name); });
  if (listener != nullptr) listener->remove_by([broker] { broker->remove_socket(); });
  return true;
}

}  // namespace

std::unique_ptr<Prepared> prepare(const Configuration& configuration) {
  const Options& options = configuration.options;
  auto prepared = std::make_unique<Prepared>(options.modules);
  for (const auto& [name, file] : options.module_files) prepared->sources.add_file(name, file);
  for (const std::string& layer : options.allow_missing) {
    spdlog::warn("--allow-missing {}: workers run without this layer of the sandbox if it cannot be set up", layer);
  }
  const auto descriptors = options.client_fd ? check_only_client(*options.client_fd) : listen(options, *prepared);
  if (!descriptors) return nullptr;
  if (!may_serve(sandbox::join_new_session_keyring(), options.allow_missing)) return nullptr;
  if (*descriptors == ClientDescriptors::possible && !start_closer(*prepared)) return nullptr;
  if (!start_broker(configuration, *prepared)) return nullptr;
  return prepared;
}

bool may_serve(const sandbox::SetupResult& result, const std::vector<std::string>& allowed) {
  if (result) return true;
  const bool may_be_missing = std::ranges::find(allowed, result.error().layer) != allowed.end();
  spdlog::log(may_be_missing ? spdlog::level::warn : spdlog::level::critical, "{}: {}", result.error().layer,
              result.error().message);
  return may_be_missing;
}

}  // namespace holdfast::supervisor
