// A module that misbehaves, and one beside it that must not notice.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {

// A daemon that serves a hostile module, and a bystander whose worker has a call under way.
class Ring {
 public:
  // `code` is the module's; whatever it does, its export `ping` is there to see whether it is still served.
  explicit Ring(const std::string& code, std::vector<std::string> flags = {});

  // Calls the hostile module.
  ipc::Answer call(const std::string& function, const std::string& payload = "null",
                   std::chrono::milliseconds timeout = std::chrono::seconds(20));
  // The same, in the words of outcome() and code_of().
  std::string outcome_of(const std::string& function, const std::string& payload = "null");
  // Fails the test if the call ends with another code than one of these.
  void check_ends(const std::string& function, std::initializer_list<const char*> codes);

  // That the module is served, by the same worker or a fresh one, and that the bystander is as it was: its worker, and
  // its call.
  void check_unharmed();
  // The same, and that the supervisor ends well and leaves nothing behind.
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
