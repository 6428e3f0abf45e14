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

}  // namespace holdfast::test
