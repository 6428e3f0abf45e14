// A module whose functions attack, for a worker that lets them (attacker_main.cc), and a daemon with such workers.
#pragma once

#include <string>
#include <vector>

#include "tests/support/daemon.h"

namespace holdfast::test {

// A daemon with the modules "attacker" and "bystander", and further flags.
DaemonOptions under_attack(std::vector<std::string> flags = {});

// The bytes of a frame as a JSON array, for the attacker's send() and its kin. In a frame that holds an answer,
// kOwnId stands for the id of the call that sends it.
std::string as_json(std::string_view bytes);
constexpr std::uint64_t kOwnId = 0x1d1d'1d1d'1d1d'1d1d;

// Whether the kernel takes system calls in the manner of i386 (int 0x80) from programs of 64 bits. Not every one does:
// it may be built without, be told so (ia32_emulation=0), or run as a confidential guest. A worker that tries all the
// same ends by SIGSEGV then.
bool offers_calls_of_i386();

}  // namespace holdfast::test
