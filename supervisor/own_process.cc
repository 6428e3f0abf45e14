#include "supervisor/own_process.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace holdfast::supervisor {

void mend_inheritance() {
  ::signal(SIGCHLD, SIG_DFL);
  // The log must neither end nor stop the supervisor when it is not read any more, when its file has reached its
  // size limit, or when the supervisor runs in the background of the log's terminal.
  for (int signal : {SIGPIPE, SIGXFSZ, SIGTTOU}) ::signal(signal, SIG_IGN);
  // Ignored until the monitor or the server listens for them.
  for (int signal : {SIGHUP, SIGUSR1, SIGUSR2}) ::signal(signal, SIG_IGN);
  for (int fd = ::open("/dev/null", O_RDWR); fd >= 0; fd = ::dup(fd)) {
    if (fd <= STDERR_FILENO) continue;
    ::close(fd);
    break;
  }
}

// By default, malloc(3) learns from the first large payload that is freed to keep such memory for the next one. After
// a burst of large payloads the process would then keep all of it, in pieces, for as long as it lives. With these
// settings it gives freed blocks of this size back. It keeps smaller ones, because each worker has buffers of 64 kB
// when it starts.
void set_up_malloc() {
  constexpr int kLarge = 256 << 10;
  ::mallopt(M_MMAP_THRESHOLD, kLarge);
  ::mallopt(M_TRIM_THRESHOLD, 2 * kLarge);
}

void close_all_but(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned begin = STDERR_FILENO + 1;
  for (int fd : kept) {
    if (fd <= STDERR_FILENO) continue;
    const auto number = static_cast<unsigned>(fd);
    if (begin < number) ::close_range(begin, number - 1, 0);
    begin = number + 1;
  }
  ::close_range(begin, ~0U, 0);
}

std::size_t raise_descriptor_limit() {
  rlimit limit = {1024, 1024};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_max;
}

}  // namespace holdfast::supervisor
