#include "worker/process/oom_score.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::worker {

OomScore::OomScore() : file_(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)) {}

void OomScore::set(int score) const {
  if (!file_) return;
  const auto text = fmt::format_int(score);
  [[maybe_unused]] const ssize_t ignored = ::pwrite(file_.get(), text.data(), text.size(), 0);
}

}  // namespace holdfast::worker
