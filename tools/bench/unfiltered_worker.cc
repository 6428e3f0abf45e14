// holdfast-worker without its system call filter, only to measure what the filter costs a call.
#include <span>

#include "tests/openings/test_openings.h"
#include "worker/process/launcher.h"

int main(int argc, char** argv) {
  const auto options = holdfast::worker::parse_zygote_options(std::span(argv + 1, argv + argc));
  if (!options) return 2;
  if (options->inside) holdfast::test::run_zygote(*options, {.leave_unfiltered = true});
  return holdfast::worker::run_launcher(*options, argv);
}
