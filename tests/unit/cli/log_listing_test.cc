#include "tools/cli/log_listing.h"

#include <doctest/doctest.h>

#include <string>

namespace holdfast::cli {
namespace {

ipc::LogRecord record(std::string text) {
  return {.time = std::chrono::seconds(1),
          .level = ipc::LogLevel::warning,
          .module = "m",
          .version = "v1",
          .request_id = "abc-1",
          .text = std::move(text)};
}

TEST_CASE("a log line shows time and level and module and call") {
  CHECK(log_as_text(record("text")) == "1970-01-01T00:00:01.000Z warning m@v1 abc-1: text\n");
  CHECK(log_of_call(record("text")) == "[warning] text\n");
  ipc::LogRecord of_none = record("5 log lines dropped");
  of_none.request_id = of_none.module = of_none.version = "";
  CHECK(log_as_text(of_none) == "1970-01-01T00:00:01.000Z warning: 5 log lines dropped\n");
}

TEST_CASE("no text can forge a line or reach the terminal") {
  const std::string forged = "a\n1970-01-01T00:00:01.000Z error other@v1: b\r\x1b[2Jc";
  CHECK(
      log_as_text(record(forged)) ==
      "1970-01-01T00:00:01.000Z warning m@v1 abc-1: a\n    1970-01-01T00:00:01.000Z error other@v1: b\\x0d\\x1b[2Jc\n");
  CHECK(log_of_call(record(forged)).find("\n1970") == std::string::npos);
  const std::string json = log_as_json(record(forged));
  CHECK(json.find('\n') == json.size() - 1);
}

}  // namespace
}  // namespace holdfast::cli
