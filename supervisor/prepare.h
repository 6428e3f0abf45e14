// What holdfastd makes ready before it serves, while it still has all its rights: its socket, the closer and the
// broker.
#pragma once

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/seccomp_policy.h"
#include "sandbox/setup_error.h"
#include "supervisor/broker/broker.h"
#include "supervisor/configuration.h"
#include "supervisor/log/log_output.h"
#include "supervisor/modules/module_source.h"
#include "supervisor/net/closer.h"
#include "supervisor/net/listener.h"

namespace holdfast::supervisor {

struct Prepared {
  explicit Prepared(std::filesystem::path modules) : sources(std::move(modules)) {}

  ModuleSources sources;
  boost::asio::io_context io{1};
  LogRetry log_retry{io};
  std::unique_ptr<Closer> closer;  // none: no client can send descriptors
  std::unique_ptr<Broker> broker;
  // The last member, because it needs the closer and the broker to stop. None: --client-fd is the only client.
  std::unique_ptr<Listener> listener;

  // Whether clients can send descriptors, which the supervisor's own sandbox must take into account.
  sandbox::ClientDescriptors client_descriptors() const {
    return closer ? sandbox::ClientDescriptors::possible : sandbox::ClientDescriptors::refused;
  }
  // Stops the listener, if there is one, which removes the socket's files.
  void stop_listening() const {
    if (listener) listener->stop();
  }
};

// Opens the socket, and starts the closer, where one is needed, and the broker. Call while the process has one thread
// and all its rights, once the log is set up. `configuration` must outlive what is returned. Nothing is returned, and
// no socket file is left, if holdfastd cannot start; the log then says why.
std::unique_ptr<Prepared> prepare(const Configuration& configuration);

// Whether holdfastd may serve after this attempt to set up a layer of the sandbox: if it succeeded, or if `allowed`
// (--allow-missing) names the layer. Logs a failure.
bool may_serve(const sandbox::SetupResult& result, const std::vector<std::string>& allowed);

}  // namespace holdfast::supervisor
