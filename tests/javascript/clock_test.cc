// What modules can learn about the time.
#include <doctest/doctest.h>

#include <string_view>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

// The steps are so coarse that only a clock with this resolution passes these tests.
const Module kWatcher{"watcher", R"js(
    const step = 50;
    // Reads `clock` until it has stepped three times; returns each value once.
    function readings(clock) {
      const seen = [clock()];
      for (let steps = 0; steps < 3;) {
        const now = clock();
        if (now === seen[seen.length - 1]) continue;
        seen.push(now);
        steps++;
      }
      return seen;
    }
    const offTheGrid = (seen) => seen.filter((time) => time % step !== 0);
    const format = new Intl.DateTimeFormat('en-US', { second: 'numeric', fractionalSecondDigits: 3 });
    const milliseconds = (parts) => Number(parts.find(({ type }) => type === 'fractionalSecond').value);
    const afterPoint = (text) => Number(/\.(\d{3})$/.exec(text)[1]);
    const clocks = {
      'Date.now()': () => Date.now(),
      'new Date()': () => new Date().getTime(),
      'Reflect.construct(Date)': () => +Reflect.construct(Date, []),
      'toISOString': () => new Date().getUTCMilliseconds(),
      'Intl format()': () => afterPoint(format.format()),
      'Intl format(undefined)': () => afterPoint(format.format(undefined)),
      'Intl formatToParts()': () => milliseconds(format.formatToParts()),
    };
    exports.read = (name) => {
      const before = Date.now();
      const seen = readings(clocks[name]);
      const after = Date.now();
      // Its three steps take at least two whole steps of Date.now().
      return { off: offTheGrid([before, ...seen, after]), enough: after - before >= 2 * step };
    };
    // Date() shows whole seconds: it must show the second of Date.now(), read in the same step.
    exports.text = () => {
      for (let i = 0; i < 100; i++) {
        const now = Date.now(), text = Date();
        if (Date.now() === now && text !== new Date(now).toString()) return [now, text];
      }
      return 'agrees';
    };
    exports.timers = async () => {
      const off = [], early = [];
      for (const delay of [1, 7, 30, 50, 73]) {
        const start = Date.now();
        await new Promise((resolve) => setTimeout(resolve, delay));
        const took = Date.now() - start;
        if (took % step !== 0) off.push(took);
        if (took < delay) early.push([delay, took]);
      }
      return { off, early };
    };
    exports.interval = () => new Promise((resolve) => {
      const fired = [];
      const id = setInterval(() => {
        fired.push(Date.now());
        if (fired.length < 4) return;
        clearInterval(id);
        resolve(fired.filter((time, i) => time % step !== 0 || time === fired[i - 1]));
      }, 20);
    });
    exports.yields = async () => {
      const start = Date.now();
      for (let i = 0; i < 100; i++) await new Promise((resolve) => setTimeout(resolve, 0));
      return (Date.now() - start) / step < 100;
    };
)js"};

TEST_CASE("with --clock-resolution every reading of the time is a whole number of steps") {
  Daemon daemon({.modules = {kWatcher}, .flags = {"--clock-resolution", "50ms", "--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  for (const char* clock : {"Date.now()", "new Date()", "Reflect.construct(Date)", "toISOString", "Intl format()",
                            "Intl format(undefined)", "Intl formatToParts()"}) {
    CAPTURE(std::string_view(clock));
    const std::string read = outcome(call(client, {"watcher", "read", "\"" + std::string(clock) + "\""}));
    CHECK(read == "{\"off\":[],\"enough\":true}");
  }
  CHECK(outcome(call(client, {"watcher", "text"})) == "\"agrees\"");
}

TEST_CASE("with --clock-resolution, timers fire at steps of the clock, and none too early") {
  Daemon daemon({.modules = {kWatcher}, .flags = {"--clock-resolution", "50ms", "--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"watcher", "timers"})) == "{\"off\":[],\"early\":[]}");
  CHECK(outcome(call(client, {"watcher", "interval"})) == "[]");
}

TEST_CASE("a timer without a delay tells nothing of the time, and does not wait for the clock") {
  Daemon daemon({.modules = {kWatcher}, .flags = {"--clock-resolution", "50ms"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"watcher", "yields"})) == "true");
}

TEST_CASE("the clock steps as the operator chose and by at least 1 ms") {
  Daemon daemon({.modules = {{"reader", R"js(
      exports.differ = () => {
        const seen = new Set();
        for (const start = Date.now(); Date.now() < start + 300;) seen.add(Date.now());
        return [...seen].every((time) => time % 50 === 0);
      };
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"reader", "differ"})) == "false");
}

}  // namespace
}  // namespace holdfast::test
