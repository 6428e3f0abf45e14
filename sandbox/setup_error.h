// How the sandbox says that one of its layers could not be set up.
//
// A layer that fails leaves the process half locked: the caller ends it, or, where the operator has allowed that layer
// to be missing, goes on.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace holdfast::sandbox {

// The layers by the names under which errors speak of them.
inline constexpr std::array<std::string_view, 10> kLayers = {"namespaces", "root",      "privileges",  "descriptors",
                                                             "process",    "limits",    "speculation", "code",
                                                             "seccomp",    "supervisor"};

struct SetupError {
  std::string layer;    // one of kLayers
  std::string message;  // which call failed, the kernel's reason, and what can be changed on the host
};

using SetupResult = tl::expected<void, SetupError>;

// The first failure of several steps, of which each is taken even if one before it has failed: where a layer may be
// missing, as much of it as can be had is had.
class Failures {
 public:
  void note(SetupResult result) {
    if (first_ && !result) first_ = std::move(result);
  }
  SetupResult first() && { return std::move(first_); }

 private:
  SetupResult first_;
};

// The error for `call`, which failed with `error` (an errno value). `advice`, where there is any, tells an operator
// what to change on the host.
[[nodiscard]] tl::unexpected<SetupError> setup_failure(std::string_view layer, std::string_view call, int error,
                                                       std::string_view advice = {});

}  // namespace holdfast::sandbox
