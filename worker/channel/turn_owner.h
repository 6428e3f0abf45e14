// Whose turn a task is that waits between calls (worker/plain/turns.h).
#pragma once

#include <cstdint>

#include "ipc/shared_page.h"

namespace holdfast::worker {

// A caller's number (SharedPage::caller_of()), or one of the two numbers beyond those.
using TurnOwner = std::uint32_t;

// The client of the direct line, which makes all calls on it.
constexpr TurnOwner kLineOwner = ipc::SharedPage::kMostCallers;
// The module's top level: what belongs to no call.
constexpr TurnOwner kTopLevelOwner = ipc::SharedPage::kMostCallers + 1;

// The owner of what the call with this number leaves to be done; SharedPage::kNothing is none.
constexpr TurnOwner turn_owner_of(std::uint64_t call) {
  if (call == ipc::SharedPage::kNothing) return kTopLevelOwner;
  return ipc::SharedPage::is_line_call(call) ? kLineOwner : ipc::SharedPage::caller_of(call);
}

}  // namespace holdfast::worker
