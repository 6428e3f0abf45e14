// Reads the settings file. A process that has the right to opens it (the broker, once the supervisor serves); then it
// is read and checked as a whole.
#pragma once

#include <cstddef>
#include <filesystem>
#include <tl/expected.hpp>

#include "ipc/base/unique_fd.h"
#include "supervisor/settings/settings.h"

namespace holdfast::supervisor {

class SettingsFile {
 public:
  // The file's settings win over `flags`. The workers that the file keeps loaded must leave one of a pool of
  // `max_workers` to other modules.
  SettingsFile(std::filesystem::path path, const ModuleSettings& flags, std::size_t max_workers)
      : path_(std::move(path)), flags_(flags), max_workers_(max_workers) {}

  const std::filesystem::path& path() const { return path_; }

  // Opens the file that is at the path now; fails with an errno value. Does not wait for the writer of a named pipe.
  tl::expected<UniqueFd, int> open() const;

  // Reads the settings from what open() returned, in this process or in another. Errors are in the form of
  // Settings::parse().
  tl::expected<Settings, Settings::Errors> read(const tl::expected<UniqueFd, int>& opened) const;

 private:
  std::filesystem::path path_;
  ModuleSettings flags_;
  std::size_t max_workers_;
};

}  // namespace holdfast::supervisor
