// What a start of holdfastd works with: its options, its settings, and what follows from them on this host.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "supervisor/options.h"
#include "supervisor/settings/settings.h"
#include "supervisor/settings/settings_file.h"
#include "supervisor/supervisor.h"

namespace holdfast::supervisor {

struct Configuration {
  Options options;
  SettingsFile settings_file;    // used only if has_settings_file()
  SupervisorOptions supervisor;  // with the settings at the start; without a closer

  bool has_settings_file() const { return !options.config.empty(); }
  // How long the supervisor busy-polls before it sleeps.
  std::chrono::nanoseconds busy_poll() const { return supervisor.busy_poll; }
};

// Reads the settings file, and works out what the options leave open: the memory budget, the workers and the clients.
// Logs what it works out. `descriptors` is the limit of open files. Call while the process may open files. The errors
// are those of the settings file, one printable line each.
tl::expected<Configuration, Settings::Errors> configure(const Options& options, std::size_t descriptors);

// The arguments of holdfast-worker (worker/process/zygote_options.h).
std::vector<std::string> worker_arguments(const Configuration& configuration);

}  // namespace holdfast::supervisor
