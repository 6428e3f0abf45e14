#include "supervisor/settings/settings_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "ipc/base/text.h"
#include "supervisor/broker/file_text.h"

namespace holdfast::supervisor {

tl::expected<UniqueFd, int> SettingsFile::open() const {
  UniqueFd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return tl::unexpected(errno);
  return file;
}

tl::expected<Settings, Settings::Errors> SettingsFile::read(const tl::expected<UniqueFd, int>& opened) const {
  const auto unreadable = [&](const std::string& reason) {
    return tl::unexpected(Settings::Errors{fmt::format("cannot read the settings file {}: {}",
                                                       ipc::printable(path_.string(), ipc::Newlines::escape), reason)});
  };
  if (!opened) return unreadable(std::strerror(opened.error()));
  const auto text = file_text(*opened, Settings::kMaxBytes);
  if (!text) return unreadable(text.error());
  auto settings = Settings::parse(*text, path_.string(), flags_);
  if (!settings) return settings;
  if (const auto problem = settings->problem_with_pool(max_workers_)) return tl::unexpected(Settings::Errors{*problem});
  return settings;
}

}  // namespace holdfast::supervisor
