// Answers calls: each accepted call gets exactly one answer.
#pragma once

#include "ipc/error.h"
#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

class CallAnswers {
 public:
  virtual ~CallAnswers() = default;
  // Answers a call that the scheduler has just forgotten, unless its client has left or has its answer, and forgets the
  // call.
  virtual void finish(CallId call, const ipc::Error& error) = 0;
};

}  // namespace holdfast::supervisor
