// Where modules come from: files of a directory, named MODULE-VERSION.js (or .mjs, .cjs), and single files that the
// operator named.
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

#include "ipc/error.h"
#include "ipc/module_name.h"
#include "ipc/unique_fd.h"
#include "supervisor/module_file.h"

namespace holdfast::supervisor {

using ipc::ModuleName;

struct ModuleSource {
  std::string file_name;  // without its directory: what stacks show
  std::string text;
};

class ModuleSources {
 public:
  // A file larger than this is no module.
  static constexpr std::uint64_t kMaxSourceBytes = std::uint64_t{16} << 20;

  // `directory` may be empty: then only files given by add_file() are found.
  explicit ModuleSources(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // `name` is this file, whatever the directory has.
  void add_file(ModuleName name, std::filesystem::path file) { files_[std::move(name)] = std::move(file); }

  // Opens the file of `name` for reading; else an errno value, ENOENT if there is none.
  using Open = std::function<tl::expected<ModuleFile, int>(const ModuleName&)>;
  tl::expected<ModuleFile, int> open(const ModuleName& name) const;
  // From now on files are opened by `open`: this process may no longer do that itself.
  void set_open(Open open) { open_ = std::move(open); }

  // The names whose files are at these paths, as ModuleWatch tells them, if they are there. More than one name may have
  // the same file: "a-b" in version "c" and "a" in version "b-c".
  std::set<ModuleName> names_for(const std::set<std::string>& paths) const;

  // Where the file of `name` may be, as ModuleWatch tells it.
  std::vector<std::string> watched_paths_of(const ModuleName& name) const;
  // All directories that these are in.
  std::vector<std::filesystem::path> directories() const;

  // As open(), by what set_open() set. `name` was checked with ipc::name_problem().
  tl::expected<ModuleFile, int> open_file(const ModuleName& name) const { return open_ ? open_(name) : open(name); }

  // Whether a file could not be opened for a reason that says nothing of it: no descriptors are left, or the process
  // that opens files is gone or busy.
  static bool is_shortage(int error);

  // Whether there is a file for `name`, by what open_file() returned for it.
  static bool is_there(const tl::expected<ModuleFile, int>& opened) { return opened || opened.error() != ENOENT; }
  bool contains(const ModuleName& name) const { return is_there(open_file(name)); }

  // What a caller gets who asks for a module that is not there.
  ipc::Error not_found(const ModuleName& name) const;

  // Reads the module's file. The error is for the caller: not_found, or load_failed if it is there and unusable.
  tl::expected<ModuleSource, ipc::Error> read(const ModuleName& name) const { return read(name, open_file(name)); }
  // The same from what open_file() returned for it.
  tl::expected<ModuleSource, ipc::Error> read(const ModuleName& name,
                                              const tl::expected<ModuleFile, int>& opened) const;

 private:
  // One for each ending; where the operator named a file, that one alone.
  std::vector<std::string> paths_of(const ModuleName& name) const;

  std::filesystem::path directory_;
  std::map<ModuleName, std::filesystem::path> files_;
  Open open_;  // none: open()
};

}  // namespace holdfast::supervisor
