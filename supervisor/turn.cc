#include "supervisor/turn.h"

#include <boost/asio/post.hpp>

namespace holdfast::supervisor {

void Turn::join(std::shared_ptr<Participant> participant) {
  participants_.push_back(std::move(participant));
  ensure_end();
}

void Turn::wait_for_frames(UserId user, std::shared_ptr<Participant> participant) {
  waiting_.add(user, std::move(participant));
  ensure_end();
}

// The event loop queues the handlers of everything that it found ready before it runs the first: what is posted now
// runs after all of them.
void Turn::ensure_end() {
  if (ending_) return;
  ending_ = true;
  boost::asio::post(io_, [this] { end(); });
}

void Turn::end() {
  ending_ = false;
  ++number_;
  const auto participants = std::exchange(participants_, {});
  for (const auto& participant : participants) participant->at_end_of_turn();
  if (last_) last_();
  frames_left_ = kFramesInTurn;
  while (frames_left_ > 0) {
    const auto next = waiting_.take([](UserId) { return true; });
    if (!next) return;
    next->second->handle_more_frames();
  }
  if (!waiting_.empty()) ensure_end();
}

}  // namespace holdfast::supervisor
