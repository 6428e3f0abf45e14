// Errors of the sandbox's layers that could not be set up.
//
// A layer that fails leaves the process half locked. The caller ends the process, or goes on if the operator has
// allowed that layer to be missing.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace holdfast::sandbox {

// The names of the layers, as errors use them.
inline constexpr std::array<std::string_view, 10> kLayers = {"namespaces", "root",      "privileges",  "descriptors",
                                                             "process",    "limits",    "speculation", "code",
                                                             "seccomp",    "supervisor"};

struct SetupError {
  std::string layer;    // one of kLayers
  std::string message;  // which call failed, the kernel's reason, and what to change on the host
};

using SetupResult = tl::expected<void, SetupError>;

// Collects the first failure of several steps. Each step is taken even if an earlier one failed, so that a layer that
// may be missing is still set up as far as possible.
class Failures {
 public:
  void note(SetupResult result) {
    if (first_ && !result) first_ = std::move(result);
  }
  SetupResult first() && { return std::move(first_); }

 private:
  SetupResult first_;
};

// The error for `call`, which failed with `error` (an errno value). `advice`, if not empty, tells an operator what to
// change on the host.
[[nodiscard]] tl::unexpected<SetupError> setup_failure(std::string_view layer, std::string_view call, int error,
                                                       std::string_view advice = {});

}  // namespace holdfast::sandbox
