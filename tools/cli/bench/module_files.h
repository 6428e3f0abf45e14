// The folder from which the private supervisors take the modules that are measured. It goes away with its owner.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "ipc/base/module_name.h"

namespace holdfast::cli::bench {

// A module with `add`, which adds two numbers; `echo`, which answers what it gets; `stick`, which never returns; and
// `work`, which computes, with breaks, until its call is cancelled.
extern const std::string_view kSmallModule;

class ModuleFiles {
 public:
  // The error says what could not be made.
  static tl::expected<ModuleFiles, std::string> make();

  ModuleFiles(ModuleFiles&& other) noexcept;
  ModuleFiles& operator=(ModuleFiles&&) = delete;
  ~ModuleFiles();

  const std::filesystem::path& folder() const { return folder_; }

  // Writes a module's file. No two have the same text: the name is added to it. The error is a sentence.
  tl::expected<void, std::string> write(const ipc::ModuleName& module, std::string_view code = kSmallModule) const;

  // Writes `count` modules of this code, PREFIX-0 and so on, and returns their names.
  tl::expected<std::vector<ipc::ModuleName>, std::string> write_many(std::string_view prefix, std::size_t count,
                                                                     std::string_view code = kSmallModule) const;

 private:
  explicit ModuleFiles(std::filesystem::path folder);

  std::filesystem::path folder_;
};

}  // namespace holdfast::cli::bench
