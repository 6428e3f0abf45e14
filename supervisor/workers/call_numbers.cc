#include "supervisor/workers/call_numbers.h"

#include <algorithm>

#include "ipc/shared_page.h"

namespace holdfast::supervisor {

using ipc::SharedPage;

std::uint64_t CallNumbers::add(CallId call, std::uint32_t caller) {
  open_.push_back({SharedPage::number_of(++last_place_, caller), call});
  return open_.back().number;
}

std::vector<CallNumbers::Entry>::const_iterator CallNumbers::at_or_after(std::uint64_t place) const {
  return std::lower_bound(open_.begin(), open_.end(), place, [](const Entry& entry, std::uint64_t wanted) {
    return SharedPage::place_of(entry.number) < wanted;
  });
}

CallId CallNumbers::find(std::uint64_t number) const {
  const auto at = at_or_after(SharedPage::place_of(number));
  return at != open_.end() && at->number == number ? at->call : CallId{};
}

std::uint64_t CallNumbers::number_of(CallId call) const {
  const auto at = std::find_if(open_.begin(), open_.end(), [&](const Entry& entry) { return entry.call == call; });
  return at != open_.end() ? at->number : 0;
}

void CallNumbers::drop(std::uint64_t after, std::uint64_t last) {
  open_.erase(at_or_after(after + 1), at_or_after(last + 1));
}

CallId CallNumbers::take(std::uint64_t number) {
  const auto at = at_or_after(SharedPage::place_of(number));
  if (at == open_.end() || at->number != number) return CallId{};
  const CallId call = at->call;
  open_.erase(at);
  return call;
}

}  // namespace holdfast::supervisor
