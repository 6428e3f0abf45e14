// A module whose functions attack, a worker that gives them native code for it (attacker_main.cc), and a daemon with
// such workers.
#pragma once

#include <string>
#include <vector>

#include "tests/support/daemon.h"

namespace holdfast::test {

// Options of a daemon with the modules "attacker" and "bystander". `flags` are added to its command line.
DaemonOptions under_attack(std::vector<std::string> flags = {});

// The bytes of a frame as a JSON array, for the attacker's send() and its variants. In a frame that holds an answer,
// kOwnId stands for the id of the call that sends the frame.
std::string as_json(std::string_view bytes);
constexpr std::uint64_t kOwnId = 0x1d1d'1d1d'1d1d'1d1d;

// Whether the kernel accepts i386 system calls (int 0x80) from 64-bit programs. It may be built without them, be told
// to refuse them (ia32_emulation=0), or run as a confidential guest. A worker that tries such a call there ends by
// SIGSEGV.
bool offers_calls_of_i386();

}  // namespace holdfast::test
