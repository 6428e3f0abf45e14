#include "supervisor/broker/file_text.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ipc/base/file_status.h"
#include "ipc/base/units.h"

namespace holdfast::supervisor {

tl::expected<std::string, std::string> file_text(const UniqueFd& file, std::uint64_t max_bytes) {
  struct stat status;
  if (!file_status(file, status)) return tl::unexpected<std::string>(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return tl::unexpected<std::string>("it is not a regular file");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > max_bytes) {
    return tl::unexpected(
        fmt::format("it has {}; at most {} are allowed", ipc::format_size(size), ipc::format_size(max_bytes)));
  }
  std::string text(size, '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return tl::unexpected<std::string>(std::strerror(errno));
    if (count == 0) break;  // the file has become shorter
    done += static_cast<std::size_t>(count);
  }
  text.resize(done);
  return text;
}

}  // namespace holdfast::supervisor
