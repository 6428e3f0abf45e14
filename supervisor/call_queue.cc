#include "supervisor/call_queue.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace holdfast::supervisor {

void CallQueue::push_back(ClientId client, CallId call) {
  const auto [entry, is_new] = by_client_.try_emplace(client);
  if (is_new) entry->second = turns_.insert(turns_.end(), Turn{.client = client, .calls = {}});
  entry->second->calls.push_back(call);
  ++size_;
}

void CallQueue::push_front(ClientId client, CallId call) {
  const auto [entry, is_new] = by_client_.try_emplace(client);
  if (is_new) entry->second = turns_.insert(turns_.begin(), Turn{.client = client, .calls = {}});
  if (!entry->second->is_paused) turns_.splice(turns_.begin(), turns_, entry->second);
  entry->second->calls.push_front(call);
  ++size_;
}

void CallQueue::pop_front() {
  const auto turn = turns_.begin();
  turn->calls.pop_front();
  --size_;
  if (turn->calls.empty()) {
    by_client_.erase(turn->client);
    turns_.erase(turn);
  } else {
    turns_.splice(turns_.end(), turns_, turn);
  }
}

void CallQueue::erase(ClientId client, CallId call) {
  const auto entry = by_client_.find(client);
  if (entry == by_client_.end()) std::abort();  // whoever erases a call has queued it
  auto& calls = entry->second->calls;
  // What leaves a queue is mostly near its front: to end ten thousand calls at one deadline must not take ten thousand
  // times the whole queue, as with std::erase().
  const auto place = std::find(calls.begin(), calls.end(), call);
  if (place == calls.end()) std::abort();
  calls.erase(place);
  --size_;
  if (!calls.empty()) return;
  (entry->second->is_paused ? paused_ : turns_).erase(entry->second);
  by_client_.erase(entry);
}

void CallQueue::pause(ClientId client) {
  const auto turn = by_client_.at(client);
  if (turn->is_paused) return;
  turn->is_paused = true;
  paused_.splice(paused_.end(), turns_, turn);
}

void CallQueue::resume(ClientId client) {
  const auto entry = by_client_.find(client);
  if (entry == by_client_.end() || !entry->second->is_paused) return;
  entry->second->is_paused = false;
  turns_.splice(turns_.end(), paused_, entry->second);
}

bool CallQueue::is_paused(ClientId client) const {
  const auto entry = by_client_.find(client);
  return entry != by_client_.end() && entry->second->is_paused;
}

std::size_t CallQueue::paused_calls() const {
  std::size_t sum = 0;
  for (const Turn& turn : paused_) sum += turn.calls.size();
  return sum;
}

std::deque<CallId> CallQueue::take(ClientId client) {
  const auto entry = by_client_.find(client);
  if (entry == by_client_.end()) return {};
  const auto turn = entry->second;
  by_client_.erase(entry);
  std::deque<CallId> calls = std::move(turn->calls);
  size_ -= calls.size();
  (turn->is_paused ? paused_ : turns_).erase(turn);
  return calls;
}

std::vector<CallId> CallQueue::take_all() {
  std::vector<CallId> all;
  all.reserve(size_);
  for (const Turns* turns : {&turns_, &paused_}) {
    for (const Turn& turn : *turns) all.insert(all.end(), turn.calls.begin(), turn.calls.end());
  }
  turns_.clear();
  paused_.clear();
  by_client_.clear();
  size_ = 0;
  return all;
}

}  // namespace holdfast::supervisor
