// holdfast-worker: holdfastd starts it as its zygote; it is not for use by hand.
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cstdio>
#include <span>
#include <string_view>

#include "worker/process/launcher.h"
#include "worker/process/zygote.h"

namespace {

constexpr const char* kUsage =
    "holdfast-worker is started by holdfastd, not by hand: it needs a control socket.\n"
    "usage: holdfast-worker --control-fd=N --memory=BYTES [...]\n";

bool is_control_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::string_view(argv[1]) == "--version" || std::string_view(argv[1]) == "-V")) {
    std::puts("holdfast-worker " HOLDFAST_VERSION);
    return 0;
  }
  const auto options = holdfast::worker::parse_zygote_options(std::span(argv + 1, argv + argc));
  if (!options || !is_control_socket(options->control_fd)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  if (options->inside) {
    ::prctl(PR_SET_NAME, "holdfast-worker");  // it was started as /proc/self/exe
    holdfast::worker::run_zygote(*options);
  }
  return holdfast::worker::run_launcher(*options, argv);
}
