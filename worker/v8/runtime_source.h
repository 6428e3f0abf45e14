// The runtime's JavaScript (worker/runtime/), compiled into the program by runtime/embed.sh.
#pragma once

#include <span>
#include <string_view>

namespace holdfast::worker {

struct RuntimeSource {
  const char* name;  // the script's name in stacks, before its frames are left out
  std::string_view text;
};

// In the order in which they must be run.
std::span<const RuntimeSource> runtime_sources();

}  // namespace holdfast::worker
