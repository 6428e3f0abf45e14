// holdfast-worker as it would be if V8 had a hole: modules run native code of their own. Everything else, the locks
// included, is the production worker's code.
#include <charconv>
#include <string_view>

#include "tests/adversarial/native_attacks.h"
#include "worker/zygote.h"

namespace {

template <typename Number>
void read_option(std::string_view argument, std::string_view name, Number& into) {
  if (argument.starts_with(name))
    std::from_chars(argument.data() + name.size(), argument.data() + argument.size(), into);
}

}  // namespace

int main(int argc, char** argv) {
  holdfast::worker::ZygoteOptions options;
  for (int i = 1; i < argc; ++i) {
    read_option(argv[i], "--control-fd=", options.control_fd);
    read_option(argv[i], "--memory=", options.memory_bytes);
  }
  options.extend_context = holdfast::test::add_native_attacks;
  return holdfast::worker::run_zygote(options);
}
