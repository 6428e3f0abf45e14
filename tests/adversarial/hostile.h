// A hostile module, and a bystander module that it must not affect.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {

// A daemon that serves a hostile module, and a bystander whose worker has a call in progress.
class Ring {
 public:
  // `code` is the hostile module's source. An export `ping` is added to it, which shows whether the module is still
  // served.
  explicit Ring(const std::string& code, std::vector<std::string> flags = {});

  // Calls the hostile module.
  ipc::Answer call(const std::string& function, const std::string& payload = "null",
                   std::chrono::milliseconds timeout = std::chrono::seconds(20));
  // Calls the hostile module and returns outcome() of the answer.
  std::string outcome_of(const std::string& function, const std::string& payload = "null");
  // Calls the hostile module; fails the test unless the answer's code_of() is one of `codes`.
  void check_ends(const std::string& function, std::initializer_list<const char*> codes);

  // Checks that the hostile module is served, by the same worker or a fresh one, and that the bystander still has its
  // worker and its open call.
  void check_unharmed();
  // Checks the same as check_unharmed(), and that the supervisor ends with status 0 and leaves nothing behind.
  void finish();

  ipc::Client& client() { return client_; }
  const Daemon& daemon() const { return daemon_; }

 private:
  Daemon daemon_;
  ipc::Client client_;
  Calls held_;
  pid_t bystander_;
};

}  // namespace holdfast::test
