#include "tools/cli/folder_loader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ipc/base/file_status.h"
#include "ipc/base/unique_fd.h"
#include "ipc/base/units.h"

namespace holdfast::cli {

ipc::LoadOutcome load_from_folder(const std::filesystem::path& folder, const ipc::ModuleName& name,
                                  std::uint64_t max_bytes) {
  ipc::LoadedSource source;
  const auto failed = [&](const std::string& why) {
    return ipc::LoadFailure{fmt::format("cannot read {}: {}", source.file_name, why)};
  };
  UniqueFd file;
  for (const char* ending : {".js", ".mjs", ".cjs"}) {
    std::string file_name = fmt::format("{}-{}{}", name.module, name.version, ending);
    // Non-blocking, so that a named pipe cannot block the loader.
    UniqueFd opened(::open((folder / file_name).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    const int error = opened ? 0 : errno;
    if (error == ENOENT) continue;
    if (file) {
      return ipc::LoadFailure{fmt::format("there are {} and {}, and one version has one file: remove the other",
                                          source.file_name, file_name)};
    }
    source.file_name = std::move(file_name);
    if (error != 0) return failed(std::strerror(error));
    file = std::move(opened);
  }
  if (!file) return ipc::NoSuchModule{};
  struct stat status;
  if (!file_status(file, status)) return failed(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return failed("it is not a regular file");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > max_bytes) {
    return failed(
        fmt::format("it has {}; at most {} are allowed", ipc::format_size(size), ipc::format_size(max_bytes)));
  }
  source.text.resize(size);
  std::size_t done = 0;
  while (done < source.text.size()) {
    const ssize_t count = ::read(file.get(), source.text.data() + done, source.text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(std::strerror(errno));
    if (count == 0) break;  // the file has become shorter since fstat(2)
    done += static_cast<std::size_t>(count);
  }
  source.text.resize(done);
  return source;
}

}  // namespace holdfast::cli
