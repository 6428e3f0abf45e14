// What is done once at the end of a turn, however many events the turn had: what clients sent is handled, and then
// connections write what gathered in their buffers, in one system call each. A turn is all that the event loop
// (event_loop.h) found ready until nothing was.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "supervisor/ids.h"
#include "supervisor/user_turns.h"

namespace holdfast::supervisor {

class Turn {
 public:
  class Participant {
   public:
    virtual ~Participant() = default;
    virtual void at_end_of_turn() = 0;
    // Of a participant that asked by wait_for_frames(): handles at most kFramesAtATime frames, and asks again if it has
    // more.
    virtual void handle_more_frames() {}
  };

  // Frames of clients that one turn handles: a millisecond or two of small calls. A client with more of them waits for
  // the next turns, in which users take turns, and the connections of each user, some frames at a time. So however much
  // others send, and over however many connections, each is served soon.
  static constexpr std::size_t kFramesInTurn = 512;
  static constexpr std::size_t kFramesAtATime = 8;

  // `participant` is called once when this turn ends. The caller sees to it that it asks once a turn.
  void join(std::shared_ptr<Participant> participant);

  // Called at the end of each turn that was due, after the participants; set once.
  void set_last(std::function<void()> last) { last_ = std::move(last); }

  // Differs from one turn to the next.
  std::uint64_t number() const { return number_; }

  // Whether this turn handles another frame of a client.
  bool has_room_for_frame() const { return frames_left_ > 0; }
  // It has handled one, or what took as long as so many.
  void count_frames(std::size_t count) { frames_left_ -= std::min(frames_left_, count); }
  // `participant` is called when this turn ends, or a later one that has room for its frames.
  void wait_for_frames(UserId user, std::shared_ptr<Participant> participant);

  // Has the turn end with `last` even if nobody joins.
  void ensure_end() { due_ = true; }

  // For the event loop. Whether anything is to be done at the end of this turn.
  bool is_due() const { return due_; }
  // `nothing_was_left`: the loop found nothing ready any more when it looked last.
  void end(bool nothing_was_left);

  // While frames are handled: whatever had happened when they were sent has been handled before them, as far as the
  // event loop is told of it.
  bool has_handled_what_was_before() const { return nothing_was_left_; }

 private:
  std::vector<std::shared_ptr<Participant>> participants_;
  std::function<void()> last_;
  UserTurns<std::shared_ptr<Participant>> waiting_;
  std::size_t frames_left_ = kFramesInTurn;
  bool due_ = false;
  bool nothing_was_left_ = false;
  std::uint64_t number_ = 0;
};

}  // namespace holdfast::supervisor
