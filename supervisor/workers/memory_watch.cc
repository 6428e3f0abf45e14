#include "supervisor/workers/memory_watch.h"

#include <algorithm>

#include "supervisor/broker/broker.h"

namespace holdfast::supervisor {

std::uint64_t MemoryWatch::most_mappings(std::uint64_t limit_bytes) {
  return std::min<std::uint64_t>(std::max(limit_bytes / kLeastMemoryOfMapping, kMostMappings),
                                 Broker::kMostMappingsCounted);
}

MemoryWatch::Verdict MemoryWatch::judge(std::uint64_t bytes, std::uint64_t limit_bytes, TimePoint now) {
  if (mappings_ >= most_mappings(limit_bytes)) return Verdict::too_many_mappings;
  if (bytes <= limit_bytes + kNativeAllowance) {
    over_limit_since_.reset();
  } else if (!over_limit_since_) {
    over_limit_since_ = now;
  }
  const bool is_for_long = over_limit_since_ && now - *over_limit_since_ >= kGrace;
  if (is_for_long || bytes > limit_bytes + kHeadroom) return Verdict::too_much;
  return over_limit_since_ ? Verdict::over_limit : Verdict::fine;
}

}  // namespace holdfast::supervisor
