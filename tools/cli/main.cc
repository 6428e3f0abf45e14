// The `holdfast` command.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <exception>

#include "tools/cli/command_line.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/standard_streams.h"

namespace holdfast::cli {
namespace {

// Descriptors 0 to 2 must be open, or a socket would get one of them and be mistaken for a standard stream. A reader
// of the output that leaves, or a parent that ignores SIGCHLD, must not change how the program ends.
void prepare_process() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
}

struct CarryOut {
  int operator()(const RunOptions& options) const { return run_command(options); }
  int operator()(const InvokeOptions& options) const { return invoke_command(options); }
  int operator()(const PsOptions& options) const { return ps_command(options); }
  int operator()(const StatsOptions& options) const { return stats_command(options); }
  int operator()(const LogsOptions& options) const { return logs_command(options); }
  int operator()(const LoadOptions& options) const { return load_command(options); }
  int operator()(const BenchOptions& options) const { return bench_command(options); }
  int operator()(const DoctorOptions& options) const { return doctor_command(options); }
};

}  // namespace
}  // namespace holdfast::cli

int main(int argc, char** argv) {
  using namespace holdfast::cli;
  prepare_process();
  try {
    const auto command = parse_command_line(argc, argv);
    return command ? std::visit(CarryOut(), *command) : command.error();
  } catch (const std::exception& exception) {
    write_standard_error(fmt::format("error: {}\n", exception.what()));
    return static_cast<int>(ExitCode::stopped);
  }
}
