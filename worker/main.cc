// holdfast-worker: started by holdfastd as its zygote; of no use by hand.
#include <sys/socket.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "worker/zygote.h"

namespace {

constexpr const char* kUsage =
    "holdfast-worker is started by holdfastd, not by hand: it needs a control socket.\n"
    "usage: holdfast-worker --control-fd=N --memory=BYTES\n";

template <typename Number>
bool read_option(std::string_view argument, std::string_view name, Number& into) {
  if (!argument.starts_with(name)) return false;
  argument.remove_prefix(name.size());
  const auto [end, error] = std::from_chars(argument.data(), argument.data() + argument.size(), into);
  return error == std::errc{} && end == argument.data() + argument.size();
}

bool is_control_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

}  // namespace

int main(int argc, char** argv) {
  holdfast::worker::ZygoteOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--version") {
      std::puts("holdfast-worker " HOLDFAST_VERSION);
      return 0;
    }
    if (!read_option(argument, "--control-fd=", options.control_fd) &&
        !read_option(argument, "--memory=", options.memory_bytes)) {
      std::fputs(kUsage, stderr);
      return 2;
    }
  }
  if (!is_control_socket(options.control_fd)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  return holdfast::worker::run_zygote(options);
}
