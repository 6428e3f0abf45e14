// holdfast-worker without its system call filter, only to measure what the filter costs a call.
#include <span>

#include "worker/process/launcher.h"
#include "worker/process/zygote.h"

int main(int argc, char** argv) {
  auto options = holdfast::worker::parse_zygote_options(std::span(argv + 1, argv + argc));
  if (!options) return 2;
  options->leave_unfiltered = true;
  if (options->inside) holdfast::worker::run_zygote(*options);
  return holdfast::worker::run_launcher(*options, argv);
}
