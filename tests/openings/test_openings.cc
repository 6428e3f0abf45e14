#include "tests/openings/test_openings.h"

#include <utility>

#include "worker/process/zygote_start.h"

namespace holdfast::test {

void run_zygote(worker::ZygoteOptions options, const TestOpenings& openings) {
  // The kernel refuses a filter without instructions (seccomp(2), EINVAL). A layer that may be missing is then left
  // out.
  if (openings.leave_unfiltered) options.allow_missing.emplace("seccomp");
  worker::ZygoteStart start(options);
  worker::Engine engine(start.engine_options());
  if (openings.extend_context) {
    const v8::HandleScope scope(engine.isolate());
    openings.extend_context(engine.isolate(), engine.context());
  }
  start.seal_off(engine);
  if (openings.leave_unfiltered) start.serve(engine, sandbox::SeccompProgram{});
  start.serve(engine, openings.policy ? sandbox::compile(*openings.policy)
                                      : sandbox::compile(sandbox::policy(options.profile)));
}

}  // namespace holdfast::test
