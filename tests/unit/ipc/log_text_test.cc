#include "ipc/log_text.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace holdfast::ipc {
namespace {

using nlohmann::json;

TEST_CASE("a time is in UTC, with milliseconds") {
  CHECK(utc_time(std::chrono::nanoseconds(0)) == "1970-01-01T00:00:00.000Z");
  CHECK(utc_time(std::chrono::seconds(1769860800) + std::chrono::milliseconds(42)) == "2026-01-31T12:00:00.042Z");
}

TEST_CASE("a log record as JSON has only the fields that are known") {
  LogRecord record{.time = std::chrono::seconds(1),
                   .level = LogLevel::warning,
                   .module = "m",
                   .version = "v1",
                   .request_id = "abc-1",
                   .text = "a \"line\"\nof two"};
  CHECK(json::parse(as_json(record)) == json{{"time", "1970-01-01T00:00:01.000Z"},
                                             {"level", "warning"},
                                             {"module", "m"},
                                             {"version", "v1"},
                                             {"requestId", "abc-1"},
                                             {"message", "a \"line\"\nof two"}});
  record.request_id.clear();
  record.dropped = 7;
  CHECK_FALSE(json::parse(as_json(record)).contains("requestId"));
  CHECK(json::parse(as_json(record))["dropped"] == 7);
}

}  // namespace
}  // namespace holdfast::ipc
