#include "supervisor/shell.h"

#include <linux/capability.h>
#include <time.h>

#include <array>

#include "sandbox/privileges.h"
#include "sandbox/seccomp_policy.h"

namespace holdfast::supervisor {

sandbox::SetupResult give_up_rights() {
  ::tzset();  // the log's: reads a file on first use
  constexpr std::array<unsigned, 1> kKept = {CAP_KILL};
  auto done = sandbox::drop_privileges(kKept)
                  .and_then([] { return sandbox::compile(sandbox::supervisor_policy()); })
                  .and_then([](const sandbox::SeccompProgram& program) { return sandbox::load(program); });
  if (!done) done.error().layer = "supervisor";
  return done;
}

}  // namespace holdfast::supervisor
