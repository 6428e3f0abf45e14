#include "supervisor/open_call.h"

#include <algorithm>

namespace holdfast::supervisor {

ipc::Usage OpenCall::usage_so_far(Workers& workers, TimePoint now) const {
  ipc::Usage usage = spent;
  if (worker == WorkerId{}) {
    usage.queue += now - waits_since;
    return usage;
  }
  const UsageMeter& meter = workers.meter(worker);
  const TimePoint began = std::max(given_at, workers.loaded_at(worker).value_or(now));
  usage.queue += given_at - waits_since;
  usage.load += began - given_at;
  usage.run += now - began;
  usage.cpu += meter.share() - share_before;
  usage.peak_memory_bytes = std::max(usage.peak_memory_bytes, meter.peak_memory());
  usage.cold = usage.cold || began > given_at;
  return usage;
}

ipc::Usage OpenCall::take_usage(Workers& workers, TimePoint now, std::size_t bytes_out) const {
  if (attempts == 0) return {};
  ipc::Usage usage = usage_so_far(workers, now);
  usage.bytes_in = payload_bytes;
  usage.bytes_out = streamed_bytes + bytes_out;
  usage.attempts = attempts;

  ipc::Usage& sum = module->counts.usage;
  sum.bytes_in += usage.bytes_in;
  sum.bytes_out += usage.bytes_out;
  sum.queue += usage.queue;
  sum.load += usage.load;
  sum.run += usage.run;
  sum.peak_memory_bytes = std::max(sum.peak_memory_bytes, usage.peak_memory_bytes);
  return usage;
}

void OpenCall::lost_worker(Workers& workers, TimePoint now) {
  spent = usage_so_far(workers, now);
  worker = WorkerId{};
  waits_since = now;
}

void OpenCall::taken_back(std::optional<TimePoint> loaded_at) {
  const TimePoint began = std::max(given_at, loaded_at.value_or(given_at));
  spent.queue += given_at - waits_since;
  spent.load += began - given_at;
  spent.cold = spent.cold || began > given_at;
  waits_since = began;
  worker = WorkerId{};
  --attempts;
}

}  // namespace holdfast::supervisor
