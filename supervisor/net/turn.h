// A turn of the event loop (event_loop.h): all that the loop finds ready, until nothing is or until many handlers
// have run. At the end of a turn, however many events it had, the frames that clients sent are handled. Then each
// connection writes what has gathered in its buffer, with one system call.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "supervisor/scheduler/ids.h"
#include "supervisor/shares/user_turns.h"

namespace holdfast::supervisor {

class Turn {
 public:
  class Participant {
   public:
    virtual ~Participant() = default;
    virtual void at_end_of_turn() = 0;
    // Called if the participant has asked by wait_for_frames(). Must handle at most kFramesAtATime frames, and ask
    // again if there are more.
    virtual void handle_more_frames() {}
  };

  // How many frames of clients one turn handles: a millisecond or two of small calls. Further frames wait for the
  // next turns. They are handled in round-robin order of users, and of each user's connections, kFramesAtATime frames
  // at a time. So each client is served soon, however much others send, and over however many connections.
  static constexpr std::size_t kFramesInTurn = 512;
  static constexpr std::size_t kFramesAtATime = 8;

  // `participant` is called once, at the end of this turn. The caller must ask only once a turn.
  void join(std::shared_ptr<Participant> participant);

  // Called at the end of each turn that was due, after the participants; set once.
  void set_last(std::function<void()> last) { last_ = std::move(last); }

  // Differs from one turn to the next.
  std::uint64_t number() const { return number_; }

  // Whether this turn handles another frame of a client.
  bool has_room_for_frame() const { return frames_left_ > 0; }
  // This turn has handled `count` frames more, or what took as long.
  void count_frames(std::size_t count) { frames_left_ -= std::min(frames_left_, count); }
  // `participant` is called at the end of this turn, or of a later turn that has room for its frames.
  void wait_for_frames(UserId user, std::shared_ptr<Participant> participant);

  // Makes this turn end, and call `last`, even if no participant joins.
  void ensure_end() { due_ = true; }

  // For the event loop: whether there is anything to do at the end of this turn.
  bool is_due() const { return due_; }
  // For the event loop. `nothing_was_left`: the loop found nothing ready any more when it last looked.
  void end(bool nothing_was_left);

  // While frames are handled: whether everything that happened before they were sent has been handled, as far as the
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
