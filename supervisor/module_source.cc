#include "supervisor/module_source.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "ipc/unique_fd.h"
#include "supervisor/file_text.h"

namespace holdfast::supervisor {
namespace {

ipc::Error unusable(const ModuleName& name, const std::string& reason) {
  return make_error(ipc::ErrorCode::load_failed, fmt::format("cannot read module {}: {}", to_string(name), reason));
}

// Of descriptors, or of the broker: that says nothing of the file.
bool is_shortage(const tl::expected<ModuleFile, int>& opened) {
  return !opened && (opened.error() == EMFILE || opened.error() == ENFILE || opened.error() == EPIPE);
}

}  // namespace

std::vector<std::filesystem::path> ModuleSources::paths_of(const ModuleName& name) const {
  if (const auto file = files_.find(name); file != files_.end()) return {file->second};
  std::vector<std::filesystem::path> paths;
  if (directory_.empty()) return paths;
  for (const auto ending : kModuleFileEndings) paths.push_back(directory_ / module_file_name(name, ending));
  return paths;
}

bool ModuleSources::has_file_among(const ModuleName& name, const std::set<std::string>& paths) const {
  const auto all = paths_of(name);
  return std::ranges::any_of(all, [&](const auto& path) { return paths.contains(path.lexically_normal().string()); });
}

tl::expected<ModuleFile, int> ModuleSources::open(const ModuleName& name) const {
  tl::expected<ModuleFile, int> found = tl::unexpected(ENOENT);
  unsigned endings = 0, ending = 1;
  for (const auto& path : paths_of(name)) {
    // Not blocking, lest a named pipe in the directory hold the opener up.
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    const int error = file ? 0 : errno;
    if (error != ENOENT) endings |= ending;
    if (file) {
      found = ModuleFile(std::move(file), ending);
    } else if (error != ENOENT && endings == ending) {
      found = tl::unexpected(error);
    }
    ending <<= 1;
  }
  if (std::popcount(endings) > 1 && !is_shortage(found)) return ModuleFile(UniqueFd(), endings);
  return found;
}

ipc::Error ModuleSources::not_found(const ModuleName& name) const {
  return make_error(ipc::ErrorCode::not_found,
                    fmt::format("there is no module {}: no file {}-{}.js (or .mjs, .cjs) in the modules directory",
                                to_string(name), name.module, name.version));
}

tl::expected<ModuleSource, ipc::Error> ModuleSources::read(const ModuleName& name,
                                                           const tl::expected<ModuleFile, int>& opened) const {
  if (!opened && opened.error() == ENOENT) return tl::unexpected(not_found(name));
  if (!opened) {
    ipc::Error error = unusable(name, std::strerror(opened.error()));
    // Not the file's fault.
    if (is_shortage(opened)) {
      error.code = ipc::ErrorCode::unavailable;
      error.retryable = true;
    }
    return tl::unexpected(std::move(error));
  }
  const auto paths = paths_of(name);
  const auto file_name = [&](std::size_t i) { return paths[i].filename().string(); };
  std::vector<std::string> names;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if ((opened->endings >> i & 1) != 0) names.push_back(file_name(i));
  }
  if (names.size() != 1) {
    std::string list;
    for (const std::string& file : names) list += (list.empty() ? "" : " and ") + file;
    return tl::unexpected(
        unusable(name, fmt::format("there are {}, and one version has one file: remove the others", list)));
  }
  auto text = file_text(opened->file, kMaxSourceBytes);
  if (!text) return tl::unexpected(unusable(name, text.error()));
  return ModuleSource{names.front(), std::move(*text)};
}

}  // namespace holdfast::supervisor
