#include "worker/channel/log_lines.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace holdfast::worker {
namespace {

struct Line {
  ipc::LogLevel level;
  std::string text;
  std::uint64_t call;
  std::uint64_t dropped;
};

// Takes all messages out of the outbox; those that are no log lines are left out.
std::vector<Line> take_lines(Outbox& outbox) {
  ipc::FrameReader in(ipc::FrameLimits{.max_bytes = std::size_t{4} << 20});
  std::vector<Line> lines;
  while (!outbox.empty()) {
    const auto data = outbox.buffer().data();
    const auto space = in.prepare();
    const std::size_t count = std::min(space.size(), data.size());
    std::copy_n(data.begin(), count, space.begin());
    in.commit(count);
    outbox.buffer().consume(count);
    for (auto frame = in.next(); frame && frame->has_value(); frame = in.next()) {
      const auto message = ipc::decode_worker_message(**frame);
      REQUIRE(message);
      const auto* line = std::get_if<ipc::LogLine>(&*message);
      if (line != nullptr) lines.push_back({line->level, std::string(line->text), line->call, line->dropped});
    }
  }
  return lines;
}

void fill(Outbox& outbox) {
  const std::string payload(LogLines::kMaxUnsentBytes + 1, 'x');
  ipc::encode_worker_result(outbox.buffer(), 1, {ipc::as_bytes(payload), ipc::Encoding::bytes});
}

TEST_CASE("a line is written with its level and its call, and a long one is cut") {
  Outbox outbox{BorrowedFd()};
  LogLines lines(outbox);
  lines.add(ipc::LogLevel::warning, "short", 7);
  lines.add(ipc::LogLevel::info, std::string(LogLines::kMaxLineBytes + 1, 'a'), 0);
  lines.tell_of_dropped(7);  // none
  const auto written = take_lines(outbox);
  REQUIRE(written.size() == 2);
  CHECK(written[0].level == ipc::LogLevel::warning);
  CHECK(written[0].text == "short");
  CHECK(written[0].call == 7);
  CHECK(written[0].dropped == 0);
  CHECK(written[1].text.size() == LogLines::kMaxLineBytes);
}

TEST_CASE("while much is unsent lines are dropped, and the next one says how many") {
  Outbox outbox{BorrowedFd()};
  LogLines lines(outbox);
  fill(outbox);
  for (int i = 0; i < 3; ++i) lines.add(ipc::LogLevel::info, "dropped", 1);
  CHECK(lines.has_dropped());
  CHECK(take_lines(outbox).empty());
  lines.add(ipc::LogLevel::info, "seen", 2);
  CHECK_FALSE(lines.has_dropped());
  const auto written = take_lines(outbox);
  REQUIRE(written.size() == 1);
  CHECK(written[0].text == "seen");
  CHECK(written[0].dropped == 3);
}

TEST_CASE("that lines were dropped is told even if no line follows, and while much is unsent") {
  Outbox outbox{BorrowedFd()};
  LogLines lines(outbox);
  fill(outbox);
  lines.add(ipc::LogLevel::info, "dropped", 1);
  lines.tell_of_dropped(4);
  CHECK_FALSE(lines.has_dropped());
  const auto written = take_lines(outbox);
  REQUIRE(written.size() == 1);
  CHECK(written[0].level == ipc::LogLevel::warning);
  CHECK(written[0].text == "");
  CHECK(written[0].call == 4);
  CHECK(written[0].dropped == 1);
}

}  // namespace
}  // namespace holdfast::worker
