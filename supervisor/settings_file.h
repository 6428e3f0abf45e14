// The settings file on its way from the disk: opened by whoever has the right to (the broker, once the supervisor
// serves), read and judged as a whole.
#pragma once

#include <cstddef>
#include <filesystem>
#include <tl/expected.hpp>

#include "ipc/unique_fd.h"
#include "supervisor/settings.h"

namespace holdfast::supervisor {

class SettingsFile {
 public:
  // `flags` are what the file's settings differ from; the workers that it keeps must fit into a pool of `max_workers`.
  SettingsFile(std::filesystem::path path, const ModuleSettings& flags, std::size_t max_workers)
      : path_(std::move(path)), flags_(flags), max_workers_(max_workers) {}

  const std::filesystem::path& path() const { return path_; }

  // Opens the file that is at the path now; else an errno value. Does not wait for the writer of a named pipe.
  tl::expected<UniqueFd, int> open() const;

  // What open() gave, here or in another process, as settings. Errors are as Settings::parse() gives them.
  tl::expected<Settings, Settings::Errors> read(const tl::expected<UniqueFd, int>& opened) const;

 private:
  std::filesystem::path path_;
  ModuleSettings flags_;
  std::size_t max_workers_;
};

}  // namespace holdfast::supervisor
