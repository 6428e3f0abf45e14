#include "tests/soak/load.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

namespace holdfast::soak {
namespace {

// One call in this many is cancelled.
constexpr unsigned kCancelEvery = 40;

// How often an idle client checks whether it should stop.
constexpr milliseconds kIdleLook{20};

ipc::Client connect(const std::string& socket_path) {
  // The timeout is longer than any phase in which the supervisor cannot accept.
  auto client = ipc::Client::connect(socket_path, {.name = "soak", .hello_timeout = std::chrono::seconds(20)});
  REQUIRE_MESSAGE(client.has_value(), client.error().message);
  return std::move(*client);
}

}  // namespace

// One client.
class Load::Asker {
 public:
  Asker(Load& load, std::size_t number, ipc::Client client)
      : load_(load), number_(number), random_(load.run_.seed * 1000 + number), client_(std::move(client)) {
    std::vector<double> weights;
    for (const Kind& kind : kinds()) weights.push_back(kind.weight);
    choose_ = std::discrete_distribution<std::size_t>(weights.begin(), weights.end());
  }

  void run() {
    next_ = Clock::now();
    while (!load_.stopped_) {
      const auto now = Clock::now();
      if (load_.paused_) {
        if (open_.empty()) {
          if (!wait_for_work()) return;
          continue;
        }
      } else {
        while (next_ <= now && open_.size() < load_.options_.most_open) {
          make_call(now);
          next_ += gap();
        }
        next_ = std::max(next_, now);  // calls that were held back are not made later
      }
      const auto gap = std::chrono::ceil<milliseconds>(next_ - now);
      client_.run_once(load_.paused_ ? kIdleLook : std::clamp(gap, milliseconds(0), kIdleLook));
      check_waits();
      if (!client_.connected() && !reconnect()) return;
    }
  }

 private:
  struct Open {
    const Kind* kind;
    std::string nonce;
    std::string payload;
    Clock::time_point since;
    std::uint64_t id = 0;
    bool was_cancelled = false;
    bool is_late = false;
  };

  Clock::duration gap() {
    const double seconds = std::exponential_distribution<double>(load_.options_.calls_per_second)(random_);
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  void make_call(Clock::time_point now) {
    const Kind& kind = kinds()[choose_(random_)];
    const std::uint64_t number = ++made_;
    Open open{.kind = &kind, .nonce = fmt::format("n{}-{}", number_, number), .since = now};
    open.payload = kind.payload(open.nonce, random_);
    ipc::CallRequest request;
    request.module = kind.module;
    request.version = "v1";
    request.function = kind.function;
    request.payload = ipc::as_bytes(open.payload);
    request.idempotent = kind.idempotent;
    load_.ledger_.made(kind.name);
    auto& kept = open_.emplace(number, std::move(open)).first->second;
    request.payload = ipc::as_bytes(kept.payload);
    kept.id = client_.start(request, [this, number](ipc::Answer answer) { take(number, std::move(answer)); });
    if (random_() % kCancelEvery == 0) {
      kept.was_cancelled = true;
      client_.cancel(kept.id);
    }
  }

  void take(std::uint64_t number, ipc::Answer answer) {
    const auto found = open_.find(number);
    if (found == open_.end()) return load_.run_.report.broken("a call was answered twice");
    const Open& open = found->second;
    const auto waited = Clock::now() - open.since;
    load_.ledger_.answered(open.kind->name, answer, waited);
    const bool is_lost = !answer && answer.error().detail == "connection_lost";
    if (!(is_lost && load_.end_expected_)) {
      const MadeCall call{*open.kind, open.payload, open.nonce, waited, open.was_cancelled};
      const std::string fault = fault_of(call, answer, load_.disturbances_);
      if (!fault.empty()) load_.run_.report.broken(fault);
    }
    open_.erase(found);
  }

  void check_waits() {
    const auto now = Clock::now();
    if (now < next_check_) return;
    next_check_ = now + std::chrono::seconds(1);
    for (auto& [number, open] : open_) {
      if (open.is_late || now - open.since < kLongestWait) continue;
      open.is_late = true;
      load_.run_.report.broken(
          fmt::format("a call of the kind \"{}\" has no answer after {} s", open.kind->name, kLongestWait.count()));
    }
  }

  // False if the supervisor is expected to be gone or the load is over.
  bool reconnect() {
    client_.run_once(milliseconds(0));  // answers open calls
    if (load_.end_expected_ || load_.stopped_) return false;
    ++load_.reconnected_;
    client_ = connect(load_.socket_path_);
    return true;
  }

  // False if the load ends.
  bool wait_for_work() {
    std::unique_lock lock(load_.mutex_);
    ++load_.quiet_;
    load_.changed_.notify_all();
    load_.changed_.wait(lock, [&] { return load_.stopped_ || !load_.paused_; });
    --load_.quiet_;
    next_ = Clock::now();
    return !load_.stopped_;
  }

  Load& load_;
  const std::size_t number_;
  Random random_;
  std::discrete_distribution<std::size_t> choose_;
  ipc::Client client_;
  std::unordered_map<std::uint64_t, Open> open_;
  std::uint64_t made_ = 0;
  Clock::time_point next_;
  Clock::time_point next_check_;
};

Load::Load(const std::string& socket_path, const LoadOptions& options, Run& run, Ledger& ledger,
           const std::atomic<unsigned>& disturbances)
    : socket_path_(socket_path), options_(options), run_(run), ledger_(ledger), disturbances_(disturbances) {
  std::vector<ipc::Client> clients;
  for (std::size_t i = 0; i < options_.clients; ++i) clients.push_back(connect(socket_path_));
  for (std::size_t i = 0; i < options_.clients; ++i) {
    threads_.emplace_back([this, i, client = std::move(clients[i])]() mutable { ask(i, std::move(client)); });
  }
}

Load::~Load() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Load::ask(std::size_t number, ipc::Client client) {
  try {
    Asker(*this, number, std::move(client)).run();
  } catch (const std::exception& error) {
    run_.report.broken(fmt::format("client {}: {}", number, error.what()));
  }
}

void Load::resume() {
  {
    const std::lock_guard lock(mutex_);
    paused_ = false;
  }
  changed_.notify_all();
}

void Load::pause() {
  std::unique_lock lock(mutex_);
  paused_ = true;
  const bool is_quiet =
      changed_.wait_for(lock, kLongestWait + std::chrono::seconds(10), [&] { return quiet_ == threads_.size(); });
  if (!is_quiet)
    run_.report.broken(
        fmt::format("{} of {} clients never got their answers", threads_.size() - quiet_, threads_.size()));
}

}  // namespace holdfast::soak
