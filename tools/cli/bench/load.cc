#include "tools/cli/bench/load.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "tools/cli/bench/calls.h"

namespace holdfast::cli::bench {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSignalInterval{100};
constexpr unsigned kSlices = 5;

short wanted_events(const ipc::Client& client) {
  return static_cast<short>(POLLIN | (client.unsent_bytes() > 0 ? POLLOUT : 0));
}

bool has_work(const ipc::Client& client) { return client.open_calls() > 0 || client.unsent_bytes() > 0; }

// Waits at most kSignalInterval until a client can go on, then serves each client that can.
void serve(const std::vector<ipc::Client*>& clients) {
  if (clients.size() == 1) {
    clients.front()->run_once(kSignalInterval);
    return;
  }
  std::vector<pollfd> waiting;
  for (const ipc::Client* client : clients) waiting.push_back({client->fd(), wanted_events(*client), 0});
  ::poll(waiting.data(), waiting.size(), static_cast<int>(kSignalInterval.count()));
  for (std::size_t i = 0; i < clients.size(); ++i) {
    if (waiting[i].revents != 0) clients[i]->run_once(milliseconds(0));
  }
}

// CPU time that a process has used since it started (clock_getcpuclockid(3)); nullopt if it is gone.
std::optional<nanoseconds> cpu_time_of(pid_t process) {
  clockid_t clock;
  timespec time;
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return std::nullopt;
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

class ClosedLoop {
 public:
  ClosedLoop(nanoseconds duration, const NextCall& next) : next_(next), begin_(Clock::now()), end_(begin_ + duration) {}

  void start_call(ipc::Client& client) {
    const auto request = next_();
    if (!request) return;
    const auto sent = Clock::now();
    client.start(*request, [this, &client, sent](const ipc::Answer& answer) { on_answer(client, sent, answer); });
  }

  bool is_over() const { return problem_ || Clock::now() >= end_; }
  const std::optional<Stop>& problem() const { return problem_; }
  Load take() { return std::move(load_); }

 private:
  void on_answer(ipc::Client& client, Clock::time_point sent, const ipc::Answer& answer) {
    if (!problem_) problem_ = problem_with(answer, "add", kAddExpected);
    const auto now = Clock::now();
    if (problem_ || (now >= end_ && load_.answered > 0)) return;
    ++load_.answered;
    load_.elapsed = now - begin_;
    load_.latencies.push_back(now - sent);
    if (now < end_) start_call(client);
  }

  const NextCall& next_;
  const Clock::time_point begin_;
  const Clock::time_point end_;
  Load load_;
  std::optional<Stop> problem_;
};

// Waits until `then`, until the client can go on, or for kSignalInterval.
void wait_until(const ipc::Client& client, Clock::time_point then) {
  const auto left = std::max(nanoseconds(0), std::min<nanoseconds>(then - Clock::now(), kSignalInterval));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  const timespec timeout = {seconds.count(), (left - seconds).count()};
  pollfd waiting = {client.fd(), wanted_events(client), 0};
  ::ppoll(&waiting, 1, &timeout, nullptr);
}

void append(Samples& all, const Samples& more) { all.insert(all.end(), more.begin(), more.end()); }

}  // namespace

NextCall again(const ipc::CallRequest& request) {
  return [request] { return request; };
}

tl::expected<Load, Stop> closed_loop(const Context& context, const std::vector<ipc::Client*>& clients,
                                     unsigned in_flight, nanoseconds duration, const NextCall& next) {
  ClosedLoop loop(duration, next);
  for (unsigned i = 0; i < in_flight; ++i) {
    for (ipc::Client* client : clients) loop.start_call(*client);
  }
  while (std::ranges::any_of(clients, [](const ipc::Client* client) { return has_work(*client); })) {
    serve(clients);
    if (!loop.is_over()) continue;
    if (auto signal = interrupted(context)) return tl::unexpected(*signal);
  }
  // handlers of calls that a lost connection answered
  for (ipc::Client* client : clients) client->run_once(milliseconds(0));
  if (loop.problem()) return tl::unexpected(*loop.problem());
  return loop.take();
}

tl::expected<Load, Stop> open_loop(const Context& context, ipc::Client& client, const ipc::CallRequest& request,
                                   nanoseconds interval, nanoseconds duration) {
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // otherwise the kernel may wake this thread 50 us late
  Load load;
  std::optional<Stop> problem;
  const auto begin = Clock::now();
  const auto end = begin + duration;
  auto due = begin;
  while (due < end && !problem) {
    for (auto now = Clock::now(); due <= now && due < end; due += interval) {
      load.lateness.push_back(now - due);
      client.start(request, [&load, &problem, begin, due](const ipc::Answer& answer) {
        if (!problem) problem = problem_with(answer, "add", kAddExpected);
        const auto arrived = Clock::now();
        ++load.answered;
        load.elapsed = arrived - begin;
        load.latencies.push_back(arrived - due);
      });
      now = Clock::now();
    }
    client.run_once(milliseconds(0));
    wait_until(client, due);
    client.run_once(milliseconds(0));
    if (auto signal = interrupted(context)) return tl::unexpected(*signal);
  }
  while (has_work(client)) {
    client.run_once(kSignalInterval);
    if (auto signal = interrupted(context)) return tl::unexpected(*signal);
  }
  client.run_once(milliseconds(0));
  if (problem) return tl::unexpected(*problem);
  return load;
}

tl::expected<std::vector<Row>, Stop> measure_loads(const Context& context, const std::string& title,
                                                   const std::vector<LoadSeries>& series, nanoseconds duration,
                                                   const NextCall& next, const LoadFloors& floors) {
  std::vector<Load> loads(series.size());
  std::vector<nanoseconds> supervisor_cpu(series.size());
  std::vector<Samples> floor_samples(floors.series.size());
  for (unsigned slice = 0; slice < kSlices; ++slice) {
    const Turns turns{
        .samples = std::max(1U, floors.samples / kSlices), .rounds = 1, .warm_up = slice == 0 ? floors.warm_up : 0};
    const auto taken = take_turns(context, fmt::format("{}: floors", title), floors.series, turns);
    if (!taken) return tl::unexpected(taken.error());
    for (std::size_t i = 0; i < taken->size(); ++i) append(floor_samples[i], (*taken)[i].samples);
    context.progress(fmt::format("{}: slice {} of {}", title, slice + 1, kSlices));
    for (std::size_t i = 0; i < series.size(); ++i) {
      const auto cpu_before = series[i].supervisor == 0 ? std::nullopt : cpu_time_of(series[i].supervisor);
      const auto part = closed_loop(context, series[i].clients, series[i].in_flight, duration / kSlices, next);
      if (!part) return tl::unexpected(part.error());
      loads[i].answered += part->answered;
      loads[i].elapsed += part->elapsed;
      append(loads[i].latencies, part->latencies);
      if (cpu_before) supervisor_cpu[i] += cpu_time_of(series[i].supervisor).value_or(*cpu_before) - *cpu_before;
    }
  }
  std::vector<Row> rows;
  for (std::size_t i = 0; i < series.size(); ++i) {
    rows.push_back(series[i].row);
    rows.back().latency = summarize(std::move(loads[i].latencies));
    rows.back().figures = {bench::duration("elapsed", loads[i].elapsed),
                           calls_per_second(loads[i].answered, loads[i].elapsed)};
    if (series[i].supervisor != 0) {
      rows.back().figures.push_back(bench::duration(
          "supervisor_cpu",
          supervisor_cpu[i] / static_cast<nanoseconds::rep>(std::max<std::size_t>(loads[i].answered, 1))));
    }
  }
  for (std::size_t i = 0; i < floors.series.size(); ++i) {
    rows.push_back(floors.series[i].row);
    rows.back().latency = summarize(std::move(floor_samples[i]));
  }
  return rows;
}

nanoseconds load_duration(const Context& context) {
  return std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(context.options.seconds));
}

}  // namespace holdfast::cli::bench
