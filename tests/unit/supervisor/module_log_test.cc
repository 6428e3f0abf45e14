#include "supervisor/log/module_log.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace holdfast::supervisor {
namespace {

ipc::LogRecord line(const std::string& module, const std::string& version, std::string text) {
  return {.module = module, .version = version, .request_id = {}, .text = std::move(text)};
}

std::vector<std::string> last(const ModuleLog& log, std::size_t count, const LogFilter& filter = {}) {
  std::vector<std::string> texts;
  log.for_last(count, filter, [&](const ipc::LogRecord& record) { texts.push_back(record.text); });
  return texts;
}

using Texts = std::vector<std::string>;

TEST_CASE("the last lines come in order and can be filtered by module and version") {
  ModuleLog log;
  log.add(line("a", "v1", "1"));
  log.add(line("b", "v1", "2"));
  log.add(line("a", "v2", "3"));
  log.add(line("a", "v1", "4"));
  CHECK(last(log, 10) == Texts{"1", "2", "3", "4"});
  CHECK(last(log, 2) == Texts{"3", "4"});
  CHECK(last(log, 0) == Texts{});
  CHECK(last(log, 10, {"a", ""}) == Texts{"1", "3", "4"});
  CHECK(last(log, 2, {"a", "v1"}) == Texts{"1", "4"});
  CHECK(last(log, 1, {"a", "v1"}) == Texts{"4"});
  CHECK(last(log, 10, {"c", ""}) == Texts{});
}

TEST_CASE("the log keeps the newest lines up to a number of lines and bytes") {
  ModuleLog log;
  for (std::size_t i = 0; i < 2 * ModuleLog::kMostRecords; ++i) log.add(line("m", "v1", std::to_string(i)));
  CHECK(log.size() == ModuleLog::kMostRecords);
  CHECK(last(log, 1) == Texts{std::to_string(2 * ModuleLog::kMostRecords - 1)});
  for (std::size_t i = 0; i < ModuleLog::kMostRecords; ++i) log.add(line("m", "v1", std::string(8 << 10, 'x')));
  CHECK(log.bytes() <= ModuleLog::kMostBytes);
  CHECK(log.size() < 128);
  CHECK(log.size() > 100);
}

}  // namespace
}  // namespace holdfast::supervisor
