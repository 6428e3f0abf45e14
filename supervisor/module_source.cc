#include "supervisor/module_source.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "ipc/unique_fd.h"
#include "supervisor/file_text.h"

namespace holdfast::supervisor {
namespace {

ipc::Error unusable(const ModuleName& name, const std::string& reason) {
  return make_error(ipc::ErrorCode::load_failed, fmt::format("cannot read module {}: {}", to_string(name), reason));
}

}  // namespace

std::filesystem::path ModuleSources::path_of(const ModuleName& name) const {
  if (const auto file = files_.find(name); file != files_.end()) return file->second;
  if (directory_.empty()) return {};
  return directory_ / (name.module + "-" + name.version + ".js");
}

tl::expected<UniqueFd, int> ModuleSources::open(const ModuleName& name) const {
  const auto path = path_of(name);
  if (path.empty()) return tl::unexpected(ENOENT);
  // Not blocking, lest a named pipe in the directory hold the opener up.
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return tl::unexpected(errno);
  return file;
}

bool ModuleSources::contains(const ModuleName& name) const {
  const auto file = open_file(name);
  return file || file.error() != ENOENT;
}

ipc::Error ModuleSources::not_found(const ModuleName& name) const {
  return make_error(ipc::ErrorCode::not_found,
                    fmt::format("there is no module {}: no file {}-{}.js in the modules directory", to_string(name),
                                name.module, name.version));
}

tl::expected<ModuleSource, ipc::Error> ModuleSources::read(const ModuleName& name) const {
  auto opened = open_file(name);
  if (!opened && opened.error() == ENOENT) return tl::unexpected(not_found(name));
  if (!opened) {
    ipc::Error error = unusable(name, std::strerror(opened.error()));
    // Not the file's fault.
    if (opened.error() == EMFILE || opened.error() == ENFILE || opened.error() == EPIPE) {
      error.code = ipc::ErrorCode::unavailable;
      error.retryable = true;
    }
    return tl::unexpected(std::move(error));
  }
  auto text = file_text(*opened, kMaxSourceBytes);
  if (!text) return tl::unexpected(unusable(name, text.error()));
  return ModuleSource{path_of(name).filename().string(), std::move(*text)};
}

}  // namespace holdfast::supervisor
