// holdfast-worker with the hole that V8 might have: modules can run native code. Everything else, including the
// sandbox, is the production worker's code. With --without-row=N as the first argument, row N of the table of system
// calls is left out.
#include <charconv>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/adversarial/native_attacks.h"
#include "tests/openings/test_openings.h"
#include "worker/process/launcher.h"

int main(int argc, char** argv) {
  constexpr std::string_view kWithoutRow = "--without-row=";
  std::span<char* const> arguments(argv + 1, argv + argc);
  std::size_t without = SIZE_MAX;
  if (!arguments.empty() && std::string_view(arguments.front()).starts_with(kWithoutRow)) {
    const std::string_view number = std::string_view(arguments.front()).substr(kWithoutRow.size());
    std::from_chars(number.data(), number.data() + number.size(), without);
    arguments = arguments.subspan(1);
  }
  const auto options = holdfast::worker::parse_zygote_options(arguments);
  if (!options) return 2;
  const auto all = holdfast::sandbox::policy(options->profile);
  std::vector rows(all.begin(), all.end());
  if (without < rows.size()) rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(without));
  if (options->inside) {
    holdfast::test::run_zygote(*options,
                               {.extend_context = holdfast::test::add_native_attacks, .policy = std::move(rows)});
  }
  return holdfast::worker::run_launcher(*options, argv);
}
