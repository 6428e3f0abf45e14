// Runs programs as the user "nobody", which owns nothing. Only root can do that; tests that another user runs are
// unprivileged already.
#pragma once

#include <string>

namespace holdfast::test {

// The uid and gid of "nobody".
constexpr unsigned kNobody = 65534;

// Whether every holdfastd runs as nobody although the tests run as root: HOLDFAST_TEST_AS_NOBODY=1. The tests
// themselves keep root's rights to inspect it.
bool is_for_nobody();

// The path at which the user nobody can start the program: `program` itself if that works, else a copy outside the
// build folder (together with V8's library if the program needs it). Each program is copied once a run; the copies are
// removed at the end.
std::string startable_by_nobody(const std::string& program);

}  // namespace holdfast::test
