#include "supervisor/workers/zygotes.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace holdfast::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A fork takes under a millisecond, a start some tens. A zygote that answers nothing for this long, though it has an
// open request, is stuck and is replaced. All requests that are open at a time must fit into its socket.
constexpr seconds kForkPatience{5};
constexpr seconds kStartPatience{30};
constexpr std::size_t kMaxForksUnderWay = 32;

// Between the starts of zygotes that fail to come up.
constexpr milliseconds kFirstStartDelay{100};
constexpr milliseconds kLongestStartDelay{5000};
// A zygote that lived this long came up well: its end does not delay the next start.
constexpr seconds kGoodLife{5};

}  // namespace

Zygotes::Zygotes(boost::asio::io_context& io, Turn& turn, Broker& broker, const ZygotesOptions& options,
                 ZygoteEvents& events, ForkEvents& forks)
    : io_(io),
      turn_(turn),
      broker_(broker),
      options_(options),
      events_(events),
      forks_(forks),
      // Starting a program with V8 keeps a CPU busy.
      max_starts_under_way_(std::max(2U, std::thread::hardware_concurrency())) {}

Zygotes::~Zygotes() = default;

void Zygotes::start() { start_generation(std::nullopt); }

void Zygotes::start_generation(std::optional<WorkerId> single) {
  Generation& generation = generations_.emplace_back();
  generation.single = single;
  generation.progress_at = Clock::now();
  if (single) {
    generation.asked_for.insert(*single);
  } else {
    successor_ = &generation;
  }
  const auto number = single ? std::optional(static_cast<std::uint64_t>(*single)) : std::nullopt;
  generation.process = std::make_unique<ZygoteProcess>(io_, broker_, number, *this);
}

Zygotes::Generations::iterator Zygotes::generation_of(const ZygoteProcess& zygote) {
  return std::find_if(generations_.begin(), generations_.end(),
                      [&](const Generation& generation) { return generation.process.get() == &zygote; });
}

// --- asking for workers --------------------------------------------------------------------------------------------

void Zygotes::request(WorkerId worker) {
  waiting_.push_back(worker);
  serve_requests();
}

void Zygotes::serve_requests() {
  if (options_.isolation == Isolation::exec) {
    if (!was_ready_) return;
    const auto starting = [this] {
      return static_cast<std::size_t>(std::count_if(generations_.begin(), generations_.end(),
                                                    [](const auto& one) { return !one.asked_for.empty(); }));
    };
    while (!waiting_.empty() && starting() < max_starts_under_way_) {
      const WorkerId worker = waiting_.front();
      waiting_.pop_front();
      start_generation(worker);
    }
    return;
  }
  while (current_ != nullptr && !waiting_.empty() && current_->asked_for.size() < kMaxForksUnderWay) {
    if (current_->asked_for.empty()) current_->progress_at = Clock::now();
    const WorkerId worker = waiting_.front();
    waiting_.pop_front();
    current_->asked_for.insert(worker);
    current_->process->request_fork(static_cast<std::uint64_t>(worker));
  }
}

void Zygotes::in_use(WorkerId worker) {
  if (current_ != nullptr && current_->workers.contains(worker)) ++current_->used;
}

void Zygotes::zygote_said(ZygoteProcess& zygote, ipc::ZygoteReply reply, std::vector<UniqueFd> fds) {
  const auto generation = generation_of(zygote);
  generation->progress_at = Clock::now();
  if (std::holds_alternative<ipc::ZygoteReady>(reply)) {
    became_ready(generation);
  } else if (const auto* forked = std::get_if<ipc::WorkerForked>(&reply)) {
    const WorkerId worker{forked->worker};
    if (generation->asked_for.erase(worker) == 0) return;
    if (!generation->single && &*generation != current_) {
      // Its zygote has been replaced. Another worker takes its place, and this one ends as its socket closes.
      waiting_.push_front(worker);
      end_if_done(generation);
      return serve_requests();
    }
    generation->workers.insert(worker);
    serve_requests();
    forks_.worker_forked(worker, std::move(fds));
  } else if (const auto* failed = std::get_if<ipc::WorkerForkFailed>(&reply)) {
    const WorkerId worker{failed->worker};
    if (generation->asked_for.erase(worker) == 0) return;
    end_if_done(generation);
    serve_requests();
    forks_.worker_fork_failed(worker, failed->reason);
  } else if (const auto* exited = std::get_if<ipc::WorkerExited>(&reply)) {
    const WorkerId worker{exited->worker};
    if (generation->workers.erase(worker) == 0) return;
    end_if_done(generation);
    forks_.worker_exited(worker, exited->wait_status, exited->cpu_time);
  }
}

// --- one generation after the other --------------------------------------------------------------------------------

void Zygotes::became_ready(Generations::iterator generation) {
  if (generation->ready || &*generation != successor_) return;
  generation->ready = was_ready_ = true;
  generation->ready_at = Clock::now();
  successor_ = nullptr;
  if (options_.isolation == Isolation::exec) {
    generations_.erase(generation);
    serve_requests();
    return events_.zygote_ready();
  }
  Generation* const before = std::exchange(current_, &*generation);
  serve_requests();
  if (before == nullptr) return events_.zygote_ready();
  end_if_done(std::find_if(generations_.begin(), generations_.end(), [&](auto& one) { return &one == before; }));
  ++replacements_;
  events_.zygote_replaced();
}

// A replaced zygote stays for as long as it has workers.
void Zygotes::end_if_done(Generations::iterator generation) {
  if (&*generation == current_ || &*generation == successor_ || generation->single) return;
  if (generation->workers.empty() && generation->asked_for.empty()) generations_.erase(generation);
}

void Zygotes::replace_if_due(Clock::time_point now) {
  if (current_ == nullptr || successor_ != nullptr || start_at_ || current_->used == 0) return;
  if (current_->used >= options_.max_forks || now >= current_->ready_at + options_.max_age) {
    start_generation(std::nullopt);
  }
}

void Zygotes::zygote_died(ZygoteProcess& zygote, std::string reason) { died(generation_of(zygote), reason); }

void Zygotes::died(Generations::iterator generation, const std::string& reason) {
  Generation dead = std::move(*generation);
  const bool was_current = &*generation == current_;
  const bool was_successor = &*generation == successor_;
  generations_.erase(generation);
  if (was_current) current_ = nullptr;
  if (was_successor) successor_ = nullptr;

  if (dead.single) {
    // With isolation by exec, the program ends with its one worker. That is a failure only before the worker was up.
    for (WorkerId worker : dead.asked_for) forks_.worker_fork_failed(worker, reason);
  } else {
    // The next zygote gets the requests that this one leaves open.
    waiting_.insert(waiting_.begin(), dead.asked_for.begin(), dead.asked_for.end());
    if (was_current && Clock::now() - dead.ready_at >= kGoodLife) start_delay_ = milliseconds(0);
    if ((was_current || was_successor) && successor_ == nullptr) retry_later();
    turn_.ensure_end();
    events_.zygote_failed(reason, was_ready_ ? ZygoteFailure::passing : ZygoteFailure::final);
  }
  for (WorkerId worker : dead.workers) forks_.worker_orphaned(worker);
  serve_requests();
}

void Zygotes::retry_later() {
  start_at_ = Clock::now() + start_delay_;
  start_delay_ = std::clamp(start_delay_ * 2, kFirstStartDelay, kLongestStartDelay);
}

// When to take the zygote for stuck if it says nothing before; nothing: it owes no message.
std::optional<Zygotes::Clock::time_point> Zygotes::stuck_at(const Generation& generation) {
  if (generation.ready && !generation.asked_for.empty()) return generation.progress_at + kForkPatience;
  const bool starting = generation.single ? !generation.asked_for.empty() : !generation.ready;
  return starting ? std::optional(generation.progress_at + kStartPatience) : std::nullopt;
}

// --- time ----------------------------------------------------------------------------------------------------------

void Zygotes::tick(Clock::time_point now) {
  if (start_at_ && *start_at_ <= now) {
    start_at_.reset();
    if (successor_ == nullptr) start_generation(std::nullopt);
  }
  replace_if_due(now);
  for (auto generation = generations_.begin(); generation != generations_.end(); ++generation) {
    const auto limit = stuck_at(*generation);
    if (!limit || *limit > now) continue;
    return died(generation, generation->ready ? "it left a request to fork unanswered" : "it did not come up in time");
  }
}

std::optional<Zygotes::Clock::time_point> Zygotes::next_wakeup() const {
  std::optional<Clock::time_point> next = start_at_;
  const auto consider = [&](Clock::time_point when) { next = std::min(when, next.value_or(when)); };
  for (const Generation& generation : generations_) {
    if (const auto limit = stuck_at(generation)) consider(*limit);
  }
  if (current_ != nullptr && successor_ == nullptr && !start_at_ && current_->used > 0) {
    consider(current_->used >= options_.max_forks ? Clock::now() : current_->ready_at + options_.max_age);
  }
  return next;
}

}  // namespace holdfast::supervisor
