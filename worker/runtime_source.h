// The runtime's JavaScript (worker/runtime/), compiled into the program by runtime/embed.sh.
#pragma once

#include <span>
#include <string_view>

namespace holdfast::worker {

struct RuntimeSource {
  const char* name;  // what stacks show, were they to show it
  std::string_view text;
};

// In the order in which they are to be run.
std::span<const RuntimeSource> runtime_sources();

}  // namespace holdfast::worker
