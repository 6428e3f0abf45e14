// What tests and benchmarks open in a worker's sandbox. Production has no way to ask for it: this is a library of its
// own, which holdfast-worker is not linked with.
#pragma once

#include <v8.h>

#include <functional>
#include <optional>
#include <vector>

#include "sandbox/seccomp_policy.h"
#include "worker/process/zygote_options.h"

namespace holdfast::test {

struct TestOpenings {
  // Adds to the context that modules see, after the runtime. May be empty.
  std::function<void(v8::Isolate*, v8::Local<v8::Context>)> extend_context = {};
  // The table of system calls, instead of the profile's.
  std::optional<std::vector<sandbox::PolicyRow>> policy = {};
  // Workers load no filter, whatever `policy` is.
  bool leave_unfiltered = false;
};

// worker::run_zygote() with openings.
[[noreturn]] void run_zygote(worker::ZygoteOptions options, const TestOpenings& openings);

}  // namespace holdfast::test
