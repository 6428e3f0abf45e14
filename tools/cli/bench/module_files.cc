#include "tools/cli/bench/module_files.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

namespace holdfast::cli::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVersion = "bench";

}  // namespace

const std::string_view kSmallModule = R"js(exports.add = async ({ a, b }) => a + b;
exports.echo = async (payload) => payload;
exports.stick = () => { while (true) {} };
exports.work = async (payload, { signal }) => {
  let rounds = 0;
  while (!signal.aborted) {
    const records = Array.from({ length: 500 }, (_, id) => ({ id, name: `record ${id}`, tags: ['a', 'b'] }));
    rounds += JSON.parse(JSON.stringify(records)).length / 500;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return rounds;
};
)js";

ModuleFiles::ModuleFiles(fs::path folder) : folder_(std::move(folder)) {}

ModuleFiles::ModuleFiles(ModuleFiles&& other) noexcept : folder_(std::exchange(other.folder_, {})) {}

ModuleFiles::~ModuleFiles() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

tl::expected<ModuleFiles, std::string> ModuleFiles::make() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error) return tl::unexpected(fmt::format("cannot find a folder for temporary files: {}", error.message()));
  std::string path = parent / "holdfast-bench-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) {
    return tl::unexpected(fmt::format("cannot make a folder {}: {}", path, std::strerror(errno)));
  }
  return ModuleFiles(path);
}

tl::expected<void, std::string> ModuleFiles::write(const ipc::ModuleName& module, std::string_view code) const {
  const fs::path path = folder_ / fmt::format("{}-{}.js", module.module, module.version);
  std::ofstream file(path);
  file << code << "// " << module.module << "\n";
  if (!file.flush()) return tl::unexpected(fmt::format("cannot write {}: {}", path.string(), std::strerror(errno)));
  return {};
}

tl::expected<std::vector<ipc::ModuleName>, std::string> ModuleFiles::write_many(std::string_view prefix,
                                                                                std::size_t count,
                                                                                std::string_view code) const {
  std::vector<ipc::ModuleName> names;
  for (std::size_t i = 0; i < count; ++i) {
    names.push_back({fmt::format("{}-{}", prefix, i), kVersion});
    if (auto written = write(names.back(), code); !written) return tl::unexpected(written.error());
  }
  return names;
}

}  // namespace holdfast::cli::bench
