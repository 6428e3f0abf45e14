// The start of a zygote in steps, between which the caller starts V8 and chooses the filter: run_zygote() in zygote.cc
// shows their order. A step that fails tells the supervisor why, and ends the process.
#pragma once

#include <optional>
#include <tl/expected.hpp>

#include "sandbox/seccomp_policy.h"
#include "worker/process/lock_down.h"
#include "worker/process/oom_score.h"
#include "worker/process/zygote_options.h"
#include "worker/v8/engine.h"

namespace holdfast::worker {

class ZygoteStart {
 public:
  // Sets up all that comes before V8. Must be called in pid 1 of the new pid namespace.
  explicit ZygoteStart(const ZygoteOptions& options);

  EngineOptions engine_options() const;

  // Warms the engine up, and takes from the process what it needed for that: files, privileges, memory to grow into.
  void seal_off(Engine& engine);

  // Serves fork requests until the supervisor closes the control socket, or becomes the single worker. Each worker
  // locks itself to `filter`. A filter that could not be compiled is a step that fails. The process must be sealed off.
  [[noreturn]] void serve(Engine& engine, tl::expected<sandbox::SeccompProgram, sandbox::SetupError> filter);

 private:
  ZygoteOptions options_;
  Lockdown lockdown_;
  std::optional<OomScore> oom_score_;  // opened when the descriptors that were inherited are closed
};

}  // namespace holdfast::worker
