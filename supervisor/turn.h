// What is done once at the end of a turn, however many events the turn had: connections write what gathered in their
// buffers, in one system call each. A turn is all that the event loop found ready at one look.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace holdfast::supervisor {

class Turn {
 public:
  class Participant {
   public:
    virtual ~Participant() = default;
    virtual void at_end_of_turn() = 0;
  };

  explicit Turn(boost::asio::io_context& io) : io_(io) {}

  // `participant` is called once when this turn ends. The caller sees to it that it asks once a turn.
  void join(std::shared_ptr<Participant> participant);

  // Called at the end of each turn in which anything was asked for, after the participants; set once.
  void set_last(std::function<void()> last) { last_ = std::move(last); }

  // Differs from one turn to the next.
  std::uint64_t number() const { return number_; }

  // Has the turn end with `last` even if nobody joins.
  void ensure_end();

 private:
  void end();

  boost::asio::io_context& io_;
  std::vector<std::shared_ptr<Participant>> participants_;
  std::function<void()> last_;
  bool ending_ = false;
  std::uint64_t number_ = 0;
};

}  // namespace holdfast::supervisor
