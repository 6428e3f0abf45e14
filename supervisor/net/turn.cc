#include "supervisor/net/turn.h"

#include <utility>

namespace holdfast::supervisor {

void Turn::join(std::shared_ptr<Participant> participant) {
  participants_.push_back(std::move(participant));
  due_ = true;
}

void Turn::wait_for_frames(UserId user, std::shared_ptr<Participant> participant) {
  waiting_.add(user, std::move(participant));
  due_ = true;
}

void Turn::end(bool nothing_was_left) {
  nothing_was_left_ = nothing_was_left;
  frames_left_ = kFramesInTurn;
  while (frames_left_ > 0) {
    const auto next = waiting_.take([](UserId) { return true; });
    if (!next) break;
    next->second->handle_more_frames();
  }
  due_ = !waiting_.empty();
  const auto participants = std::exchange(participants_, {});
  for (const auto& participant : participants) participant->at_end_of_turn();
  if (last_) last_();
  ++number_;
}

}  // namespace holdfast::supervisor
