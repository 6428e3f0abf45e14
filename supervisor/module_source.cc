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

// Of a module's file; empty if it has none of the endings of one.
std::string_view without_ending(std::string_view file_name) {
  for (const auto ending : kModuleFileEndings) {
    if (file_name.ends_with(ending)) return file_name.substr(0, file_name.size() - ending.size());
  }
  return {};
}

// Without its folder.
std::string file_name_in(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::vector<std::string> ModuleSources::paths_of(const ModuleName& name) const {
  if (const auto file = files_.find(name); file != files_.end()) return {file->second.string()};
  if (directory_.empty()) return {};
  const std::string folder = directory_.string() + '/';
  std::vector<std::string> paths;
  for (const auto ending : kModuleFileEndings) paths.push_back(folder + module_file_name(name, ending));
  return paths;
}

std::set<ModuleName> ModuleSources::names_for(const std::set<std::string>& paths) const {
  std::set<ModuleName> names;
  for (const auto& [name, file] : files_) {
    if (paths.contains(file.lexically_normal().string())) names.insert(name);
  }
  for (const std::string& path : paths) {
    const std::string file_name = std::filesystem::path(path).filename().string();
    if (directory_.empty() || (directory_ / file_name).lexically_normal() != path) continue;
    const std::string_view text = without_ending(file_name);
    for (std::size_t dash = text.find('-'); dash != std::string_view::npos; dash = text.find('-', dash + 1)) {
      ModuleName name{std::string(text.substr(0, dash)), std::string(text.substr(dash + 1))};
      if (!ipc::name_problem(name.module, "module") && !ipc::name_problem(name.version, "version") &&
          !files_.contains(name)) {
        names.insert(std::move(name));
      }
    }
  }
  return names;
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
  std::vector<std::string> names;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if ((opened->endings >> i & 1) != 0) names.push_back(file_name_in(paths[i]));
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
