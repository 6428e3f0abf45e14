// Finds and reads the files of modules: those of a directory, named MODULE-VERSION.js (or .mjs, .cjs), and single files
// that the operator named.
#pragma once

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/module_name.h"
#include "ipc/base/unique_fd.h"
#include "ipc/error.h"
#include "supervisor/broker/module_file.h"

namespace holdfast::supervisor {

using ipc::ModuleName;

struct ModuleSource {
  std::string file_name;  // without its directory, as stack traces show it
  std::string text;
};

class ModuleSources {
 public:
  // A larger file cannot be loaded.
  static constexpr std::uint64_t kMaxSourceBytes = std::uint64_t{16} << 20;

  // If `directory` is empty, only files given by add_file() are found.
  explicit ModuleSources(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // Makes this file the module `name`, even if the directory has a file for that name.
  void add_file(ModuleName name, std::filesystem::path file) { files_[std::move(name)] = std::move(file); }

  // Opens the file of `name` for reading; on failure returns an errno value, ENOENT if there is no file.
  using Open = std::function<tl::expected<ModuleFile, int>(const ModuleName&)>;
  tl::expected<ModuleFile, int> open(const ModuleName& name) const;
  // From now on open_file() uses `open`, because this process may no longer open files itself.
  void set_open(Open open) { open_ = std::move(open); }

  // The modules whose files may be at these paths, which are as ModuleWatch reports them. Two names can have the same
  // file: "a-b" in version "c" and "a" in version "b-c".
  std::set<ModuleName> names_for(const std::set<std::string>& paths) const;

  // The paths at which the file of `name` may be, in the form that ModuleWatch reports.
  std::vector<std::string> watched_paths_of(const ModuleName& name) const;
  // All directories that modules' files may be in.
  std::vector<std::filesystem::path> directories() const;

  // Opens the file of `name` for reading, by the function given to set_open() or else by open(); on failure returns an
  // errno value, ENOENT if there is no file. `name` must have been checked with ipc::name_problem().
  tl::expected<ModuleFile, int> open_file(const ModuleName& name) const { return open_ ? open_(name) : open(name); }

  // Whether this errno value says nothing about the file: no descriptors are left, or the process that opens files is
  // gone or busy.
  static bool is_shortage(int error);

  // Whether there is a file, judged by what open_file() returned for it.
  static bool is_there(const tl::expected<ModuleFile, int>& opened) { return opened || opened.error() != ENOENT; }
  bool contains(const ModuleName& name) const { return is_there(open_file(name)); }

  // The error for a caller of a module that has no file.
  ipc::Error not_found(const ModuleName& name) const;

  // Reads the module's file. The error is for the caller: not_found; load_failed if the file is there and unusable;
  // unavailable, retryable, if is_shortage().
  tl::expected<ModuleSource, ipc::Error> read(const ModuleName& name) const { return read(name, open_file(name)); }
  // Reads the module's file from `opened`, which open_file() returned for `name`. The error is for the caller:
  // not_found; load_failed if the file is there and unusable; unavailable, retryable, if is_shortage().
  tl::expected<ModuleSource, ipc::Error> read(const ModuleName& name,
                                              const tl::expected<ModuleFile, int>& opened) const;

 private:
  // The paths at which the file may be: one for each ending, or only the one that the operator named.
  std::vector<std::string> paths_of(const ModuleName& name) const;

  std::filesystem::path directory_;
  std::map<ModuleName, std::filesystem::path> files_;
  Open open_;  // empty: open() is used
};

}  // namespace holdfast::supervisor
