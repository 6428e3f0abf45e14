#include "supervisor/log/module_log.h"

#include <utility>
#include <vector>

namespace holdfast::supervisor {
namespace {

std::size_t bytes_of(const ipc::LogRecord& record) {
  return sizeof record + record.module.size() + record.version.size() + record.request_id.size() + record.text.size();
}

}  // namespace

void ModuleLog::add(ipc::LogRecord record) {
  bytes_ += bytes_of(record);
  records_.push_back(std::move(record));
  while (records_.size() > kMostRecords || bytes_ > kMostBytes) {
    bytes_ -= bytes_of(records_.front());
    records_.pop_front();
  }
}

void ModuleLog::for_last(std::size_t count, const LogFilter& filter,
                         const std::function<void(const ipc::LogRecord&)>& use) const {
  std::vector<const ipc::LogRecord*> found;
  for (auto record = records_.rbegin(); record != records_.rend() && found.size() < count; ++record) {
    if (filter.covers(*record)) found.push_back(&*record);
  }
  for (auto record = found.rbegin(); record != found.rend(); ++record) use(**record);
}

}  // namespace holdfast::supervisor
