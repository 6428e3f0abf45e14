// Hardening that applies where the host offers it.
#include "sandbox/hardening.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/unit/sandbox/test_support.h"

using namespace holdfast::sandbox;
using namespace holdfast::sandbox::test;

namespace {

void* page_of(void (*code)()) {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(code) & ~std::uintptr_t{4095});
}

void some_code() {}

TEST_CASE("sealed code can be neither changed nor taken away, in this process and in its children") {
  const Ending ending = run_child(callers().back(), []() -> std::string {
    const auto sealed = seal_code();
    if (!sealed) return sealed.error().message;
    if (*sealed == Offered::no) return "not offered";
    const auto attempts = [] {
      void* const page = page_of(&some_code);
      return outcome(mprotect(page, 4096, PROT_READ | PROT_WRITE)) + " " + outcome(munmap(page, 4096)) + " " +
             outcome(mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1
                                                                                                               : 0);
    };
    const std::string here = attempts();
    const pid_t child = fork();
    if (child == 0) _exit(attempts() == here ? 0 : 1);
    return here + (wait_for(child) == 0 ? "" : ", and something else in a child");
  });
  CHECK(ending.exited(0));
  CHECK((ending.said == "EPERM EPERM EPERM" || ending.said == "not offered"));
}

TEST_CASE("speculation is restricted as far as the processor supports it") {
  const Ending ending = run_child(callers().back(), []() -> std::string {
    const auto restricted = restrict_speculation();
    if (!restricted) return restricted.error().message;
    bool all = true;
    for (const unsigned long kind : {PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH}) {
      const int state = prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
      all = all && (state == PR_SPEC_NOT_AFFECTED || (state & (PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE)) != 0);
    }
    return all == (*restricted == Offered::yes) ? "as it was said" : "not as it was said";
  });
  CHECK(ending.exited(0));
  CHECK(ending.said == "as it was said");
}

}  // namespace
