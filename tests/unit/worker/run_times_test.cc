#include "worker/channel/run_times.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "ipc/worker_messages.h"

namespace holdfast::worker {
namespace {

using namespace std::chrono_literals;
using Page = ipc::SharedPage;

constexpr std::uint64_t kCall = Page::number_of(1, 5);
constexpr std::uint64_t kNextCallOfCaller = Page::number_of(2, 5);
constexpr std::uint64_t kLineCall = Page::kLineBit | 1;

struct Fixture {
  Page page{};
  ipc::OutputBuffer out;
  RunTimes times{out, page};
  const RunTimes::TimePoint begin = std::chrono::steady_clock::now();
  RunTimes::Duration run{};  // of kCall, while it is open
  bool is_open = true;

  void charge_up_to(std::chrono::nanoseconds since_begin) {
    times.charge_up_to(begin + since_begin,
                       [&](std::uint64_t call) { return is_open && call == kCall ? &run : nullptr; });
  }
  void stretch(std::uint64_t call, std::chrono::nanoseconds time) {
    times.begin(call, begin);
    charge_up_to(time);
  }
  std::vector<ipc::WorkerRan> reports() {
    ipc::FrameReader in;
    const auto data = out.data();
    const auto space = in.prepare();
    REQUIRE(space.size() >= data.size());
    std::copy(data.begin(), data.end(), space.begin());
    in.commit(data.size());
    out.consume(data.size());
    std::vector<ipc::WorkerRan> all;
    for (auto frame = in.next(); frame && frame->has_value(); frame = in.next()) {
      const auto message = ipc::decode_worker_message(**frame);
      REQUIRE(message);
      all.push_back(std::get<ipc::WorkerRan>(*message));
    }
    return all;
  }
};

TEST_CASE_FIXTURE(Fixture, "the time of an open call gathers until it is reported with the answer") {
  stretch(kCall, 300us);
  stretch(kCall, 200us);
  CHECK(run == 500us);
  CHECK(reports().empty());
  CHECK(times.at_answer(kCall, run) == 500us);
}

TEST_CASE_FIXTURE(Fixture, "time of the stretch that answers a call is reported with the answer, and not once more") {
  times.begin(kCall, std::chrono::steady_clock::now() - 400us);
  CHECK(times.at_answer(kCall, run) >= 400us);
  is_open = false;
  times.charge_up_to(std::chrono::steady_clock::now(), [](std::uint64_t) -> RunTimes::Duration* { return nullptr; });
  for (const ipc::WorkerRan& report : reports()) CHECK(report.time < 400us);
}

TEST_CASE_FIXTURE(Fixture, "a long run is reported before the answer, and the time starts from zero again") {
  stretch(kCall, 600us);
  stretch(kCall, 600us);
  const auto told = reports();
  REQUIRE(told.size() == 1);
  CHECK(told[0].call == kCall);
  CHECK(told[0].time == 1200us);
  CHECK(run == 0us);
}

TEST_CASE_FIXTURE(Fixture, "what answered calls of one caller left behind adds up, and is reported once it is long") {
  is_open = false;
  stretch(kCall, 600us);
  CHECK(reports().empty());
  stretch(kNextCallOfCaller, 600us);
  const auto told = reports();
  REQUIRE(told.size() == 1);
  CHECK(Page::caller_of(told[0].call) == 5);
  CHECK(told[0].time == 1200us);
  CHECK(page.unclaimed_time == 0);
}

TEST_CASE_FIXTURE(Fixture, "time for no call goes to the page, however long, and none is charged for the load") {
  stretch(Page::kNothing, 3ms);
  stretch(Page::kBackground, 2ms);
  CHECK(page.unclaimed_time == 5'000'000);
  stretch(Page::kLoading, 3ms);
  CHECK(page.unclaimed_time == 5'000'000);
  CHECK(reports().empty());
}

TEST_CASE_FIXTURE(Fixture, "a stretch of the line is charged to no caller, and is told once") {
  stretch(kLineCall, 3ms);
  CHECK(times.take_was_lines());
  CHECK_FALSE(times.take_was_lines());
  CHECK(reports().empty());
  stretch(kCall, 1us);
  CHECK_FALSE(times.take_was_lines());
}

TEST_CASE_FIXTURE(Fixture, "time between two stretches is charged to none") {
  stretch(kCall, 100us);
  charge_up_to(5ms);
  CHECK(run == 100us);
}

}  // namespace
}  // namespace holdfast::worker
