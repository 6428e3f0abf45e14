#include "supervisor/own_sandbox.h"

#include <time.h>
#include <unistd.h>

#include "sandbox/privileges.h"
#include "sandbox/seccomp_policy.h"

namespace holdfast::supervisor {

sandbox::SetupResult give_up_rights(sandbox::ClientDescriptors descriptors) {
  ::tzset();  // for the log: reads a file on first use
  sandbox::Failures failures;
  if (::geteuid() == 0) failures.note(sandbox::become_nobody());
  failures.note(sandbox::drop_privileges());
  failures.note(
      sandbox::compile(sandbox::supervisor_policy(descriptors)).and_then([](const sandbox::SeccompProgram& program) {
        return sandbox::load(program);
      }));
  auto done = std::move(failures).first();
  if (!done) done.error().layer = "supervisor";
  return done;
}

}  // namespace holdfast::supervisor
