#include "ipc/log_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "ipc/base/json.h"

namespace holdfast::ipc {

std::string utc_time(std::chrono::nanoseconds since_1970) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_1970);
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(since_1970 - seconds);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(seconds.count())),
                     millis.count());
}

std::string as_json(const LogRecord& record) {
  std::string json = fmt::format(R"({{"time":"{}","level":"{}")", utc_time(record.time), to_string(record.level));
  // A note that a client reads too slowly belongs to no module.
  if (!record.module.empty()) json += fmt::format(R"(,"module":{})", json_string(record.module));
  if (!record.version.empty()) json += fmt::format(R"(,"version":{})", json_string(record.version));
  if (!record.request_id.empty()) json += fmt::format(R"(,"requestId":{})", json_string(record.request_id));
  json += fmt::format(R"(,"message":{})", json_string(record.text));
  if (record.dropped > 0) json += fmt::format(R"(,"dropped":{})", record.dropped);
  return json + '}';
}

}  // namespace holdfast::ipc
