// Clients that misbehave: they disconnect at every point of the protocol, never read, flood, and send garbage. One of
// them counts the answers to each of its calls without the client library. The seed determines what they do.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <string>

#include "tests/soak/kinds.h"
#include "tests/soak/run.h"
#include "tests/support/raw_connection.h"

namespace holdfast::soak {

class Vandals {
 public:
  Vandals(const std::string& socket_path, Run& run);

  // Performs one act after the other, with pauses, until `stop`. All clients have disconnected when it returns.
  void perform(const std::atomic<bool>& stop);

  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

 private:
  void act();
  void vanish();
  void stall();
  void flood();
  void speak_garbage();
  void damage_messages();
  void break_a_rule();
  void count_answers();
  void told(const std::string& what);
  std::string some_calls(std::size_t count);
  std::size_t between(std::size_t least, std::size_t most);

  const std::string socket_path_;
  Run& run_;
  Random random_;
  std::list<test::RawConnection> held_;  // connections of clients that stall
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace holdfast::soak
