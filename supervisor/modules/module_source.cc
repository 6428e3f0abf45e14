#include "supervisor/modules/module_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>

#include "ipc/base/unique_fd.h"
#include "supervisor/broker/careful_open.h"
#include "supervisor/broker/file_text.h"

namespace holdfast::supervisor {
namespace {

ipc::Error unusable(const ModuleName& name, const std::string& reason) {
  return make_error(ipc::ErrorCode::load_failed, fmt::format("cannot read module {}: {}", to_string(name), reason));
}

// Why a file cannot be opened; `error` is what CarefulDirectory::open() returned.
std::string reason_of(int error) {
  if (error == EINVAL) return "it is not a regular file";
  std::string reason = std::strerror(error);
  if (error == EACCES) {
    reason +=
        "; if root has started holdfastd, the owner of the file's directory must be able to read it, and so must the "
        "owner of any link to it";
  }
  return reason;
}

// The file name without its ending; empty if it has no ending of a module's file.
std::string_view without_ending(std::string_view file_name) {
  for (const auto ending : kModuleFileEndings) {
    if (file_name.ends_with(ending)) return file_name.substr(0, file_name.size() - ending.size());
  }
  return {};
}

// The path without its directory.
std::string file_name_in(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

bool ModuleSources::is_shortage(int error) {
  return error == EMFILE || error == ENFILE || error == EPIPE || error == EAGAIN;
}

std::vector<std::string> ModuleSources::paths_of(const ModuleName& name) const {
  if (const auto file = files_.find(name); file != files_.end()) return {file->second.string()};
  if (directory_.empty()) return {};
  const std::string folder = directory_.string() + '/';
  std::vector<std::string> paths;
  for (const auto ending : kModuleFileEndings) paths.push_back(folder + module_file_name(name, ending));
  return paths;
}

std::vector<std::string> ModuleSources::watched_paths_of(const ModuleName& name) const {
  std::vector<std::string> paths = paths_of(name);
  for (std::string& path : paths) path = std::filesystem::path(path).lexically_normal().string();
  return paths;
}

std::vector<std::filesystem::path> ModuleSources::directories() const {
  std::vector<std::filesystem::path> directories;
  if (!directory_.empty()) directories.push_back(directory_);
  for (const auto& [name, file] : files_) {
    const auto directory = file.parent_path();
    if (std::ranges::find(directories, directory) == directories.end()) directories.push_back(directory);
  }
  return directories;
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
  const auto paths = paths_of(name);
  if (paths.empty()) return tl::unexpected(ENOENT);
  std::optional<ModuleFile> found;
  int failure = ENOENT;
  const CarefulDirectory directory(std::filesystem::path(paths.front()).parent_path());
  unsigned endings = 0, ending = 1;
  for (const auto& path : paths) {
    auto file = directory.open(file_name_in(path));
    const int error = file ? 0 : file.error();
    if (error != ENOENT) endings |= ending;
    if (file) {
      found.emplace(std::move(*file), ending);
    } else if (error != ENOENT && endings == ending) {
      failure = error;
    }
    ending <<= 1;
  }
  if (std::popcount(endings) > 1 && (found || !is_shortage(failure))) return ModuleFile(UniqueFd(), endings);
  if (!found) return tl::unexpected(failure);
  return std::move(*found);
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
    ipc::Error error = unusable(name, reason_of(opened.error()));
    // A shortage is not the file's fault.
    if (is_shortage(opened.error())) {
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
