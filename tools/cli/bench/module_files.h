// A temporary folder with the modules that private supervisors load. The destructor removes it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/module_name.h"

namespace holdfast::cli::bench {

// A module with four functions: `add` adds two numbers, `echo` answers with its payload, `stick` never returns, and
// `work` computes, with breaks, until its call is cancelled.
extern const std::string_view kSmallModule;

class ModuleFiles {
 public:
  // Creates the folder. The error says what could not be created.
  static tl::expected<ModuleFiles, std::string> make();

  ModuleFiles(ModuleFiles&& other) noexcept;
  ModuleFiles& operator=(ModuleFiles&&) = delete;
  ~ModuleFiles();

  const std::filesystem::path& folder() const { return folder_; }

  // Writes a module's file. The module's name is added to the code, so that no two files have the same text. The
  // error can be shown as it is.
  tl::expected<void, std::string> write(const ipc::ModuleName& module, std::string_view code = kSmallModule) const;

  // Writes `count` modules of this code, PREFIX-0 and so on, and returns their names.
  tl::expected<std::vector<ipc::ModuleName>, std::string> write_many(std::string_view prefix, std::size_t count,
                                                                     std::string_view code = kSmallModule) const;

 private:
  explicit ModuleFiles(std::filesystem::path folder);

  std::filesystem::path folder_;
};

}  // namespace holdfast::cli::bench
