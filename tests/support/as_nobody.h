// Running programs as nobody, a user who owns nothing. Only root can; whoever else runs the tests is as good as nobody.
#pragma once

#include <string>

namespace holdfast::test {

// The uid and gid of "nobody".
constexpr unsigned kNobody = 65534;

// Whether every holdfastd is to run as nobody, though the tests run as root: HOLDFAST_TEST_AS_NOBODY=1. The tests look
// from outside with root's eyes all the same.
bool is_for_nobody();

// The program itself if nobody can start it where it is; else a copy, where the build folder is closed to nobody. A
// program that needs V8 comes with it. Copied once in a run; removed at its end.
std::string startable_by_nobody(const std::string& program);

}  // namespace holdfast::test
