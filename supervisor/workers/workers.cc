// The workers from the supervisor's side: what the supervisor wants of them, and the watch on their time and memory.
// What workers and zygotes say is handled in workers_events.cc.
#include "supervisor/workers/workers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "ipc/base/invariant.h"
#include "ipc/base/units.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How much CPU time a worker may use to report where it is and to end. Taking the stack takes about a millisecond
// once V8 comes to an interrupt check in a function of the module. Before that V8 may be compiling, which takes 10 ms
// and more. If V8 never comes to a check, the caller waits this long in vain. On a busy machine a worker, whose
// priority is low, may have to wait for a CPU first, but not for longer than the second limit, which is by the clock.
constexpr milliseconds kSoftStopPatience{30};
constexpr milliseconds kLongestSoftStop{2000};

// What native code may hold beyond its module's limit before the worker is killed at once. Well-behaved modules end
// at their limit, by V8's count or by RLIMIT_DATA; this is for code that hides memory from both (sandbox/limits.h).
constexpr std::uint64_t kMemoryHeadroom = std::uint64_t{128} << 20;
// What it may hold beyond the limit for good: what RLIMIT_DATA allows (worker/process/zygote.cc), and the page tables
// of that.
constexpr std::uint64_t kNativeAllowance = kNativeMemoryBytes + (std::uint64_t{4} << 20);
// How often memory is looked at, at least; and how often while the memory of all together may soon be used up.
constexpr milliseconds kMemoryLook{500};
constexpr milliseconds kMemoryLookWhenShort{100};
// A worker that holds more than its limit and kNativeAllowance for this long hides memory, too.
constexpr milliseconds kMemoryGrace{900};
// Of idle workers, only the pages are looked at so often, and all at the same time: one wake-up for all of them, and
// no system call for each. As the page may lie, each idle worker also gets a full look now and then. Full looks
// become rarer while the kernel finds that the worker uses no CPU, up to this long apart (and as much again, so that
// each worker has another time).
constexpr milliseconds kLongestIdlePause{8000};
constexpr std::uint64_t kIdlePhases = 16;
// How often a worker that is at work without a call is looked at, and how often one that is halted for that may go
// on.
constexpr milliseconds kBackgroundLook{50};
// How old the memory reading may be by which a call's use of memory is told. It is not read more often.
constexpr milliseconds kMemoryFresh{10};

// An honest worker's load ends at its stretch budget, which counts CPU time. This limit is by the clock, for a worker
// that hides that it does nothing.
constexpr std::chrono::minutes kLongestLoad{2};

// For a fresh look at memories: a look takes some tenths of a millisecond, and nothing else is done in that time.
constexpr milliseconds kMemoryRefresh{3};
// A process that was looked at so recently is not looked at again.
constexpr seconds kMemoryKnown{1};
// The number of a worker's mappings counts as known for this long, and for as long as the worker has used less CPU
// time than it takes to make thousands of mappings.
constexpr seconds kMappingsKnown{5};
constexpr milliseconds kSoonestManyMappings{5};
// Counting many mappings takes milliseconds, during which the loop serves no client. Afterwards no mappings are
// counted for this many times as long.
constexpr int kPauseAfterCounting = 9;
// What the kernel keeps for a mapping: a vm_area_struct, and its part of a maple tree's node.
constexpr std::uint64_t kBytesOfMapping = 256;
// Each mapping that a module can make by JavaScript, as an instance of a WebAssembly module, takes more than this of
// its memory.
constexpr std::uint64_t kLeastMemoryOfMapping = 16 << 10;
constexpr std::uint64_t kMostMappings = 16384;  // for modules with little memory

// When to look next at workers with this stretch budget that need no look of their own: all at the same time.
Workers::Clock::time_point next_common_look(const Limits& limits, Workers::Clock::time_point now) {
  const auto pause = std::min<Workers::Clock::duration>(limits.stretch / 2, kMemoryLook);
  return now + pause - now.time_since_epoch() % pause;
}

}  // namespace

Workers::Workers(boost::asio::io_context& io, Turn& turn, Broker& broker, const WorkersOptions& options,
                 WorkerEvents& events, ZygoteEvents& zygote_events)
    : io_(io),
      turn_(turn),
      broker_(broker),
      options_(options),
      events_(events),
      zygotes_(io, turn, broker, options.zygotes, zygote_events, *this),
      budget_(options.memory_budget_bytes) {}

void Workers::wake_at(WorkerId worker, Entry& entry, Clock::time_point when) {
  if (entry.wakeup) {
    if ((*entry.wakeup)->first <= when) return;
    wakeups_.erase(*entry.wakeup);
  }
  entry.wakeup = wakeups_.emplace(when, worker);
}

void Workers::remove_entry(WorkerId worker) {
  const auto found = entries_.find(worker);
  if (found->second.wakeup) wakeups_.erase(*found->second.wakeup);
  budget_.forget(worker);
  background_.forget(worker);
  entries_.erase(found);
}

Workers::Entry& Workers::entry_of(WorkerId worker) {
  const auto found = entries_.find(worker);
  expect(found != entries_.end(), "a worker that is named has not ended");
  return found->second;
}

const Workers::Entry& Workers::entry_of(WorkerId worker) const { return const_cast<Workers*>(this)->entry_of(worker); }

bool Workers::has_unsent(WorkerId worker) const {
  const WorkerProcess* const found = process(worker);
  return found != nullptr && found->unsent_bytes() > 0;
}

const WorkerProcess* Workers::process(WorkerId worker) const {
  const auto found = entries_.find(worker);
  return found == entries_.end() ? nullptr : found->second.process.get();
}

// --- what the supervisor wants --------------------------------------------------------------------------------------

void Workers::fork(WorkerId worker) {
  entries_.try_emplace(worker);
  zygotes_.request(worker);
}

void Workers::hold(WorkerId worker, Clock::time_point until) {
  Entry& entry = entry_of(worker);
  entry.process->pause();
  entry.resume_at = until;
  wake_at(worker, entry, until);
  turn_.ensure_end();  // which arms the timer
}

void Workers::load(WorkerId worker, const ipc::LoadRequest& request, const Limits& limits) {
  Entry& entry = entry_of(worker);
  entry.process->send(request);
  // Asking the broker takes time, in which the worker can begin.
  if (!entry.process->has_pid()) (void)entry.process->flush();
  zygotes_.in_use(worker);
  entry.load = Entry::Load::sent;
  entry.load_sent_at = Clock::now();
  if (!entry.process->is_known_to_broker() && empty_bytes() != 0) {
    // The worker has what all have that hold no module yet. The broker is asked about it when the next call begins or
    // ends, at the soonest kMemoryFresh from now, so that its first call does not wait for that.
    entry.memory_seen_at = entry.load_sent_at;
    entry.meter.saw_memory(empty_bytes());
  }
  entry.limits = limits;
  entry.watch = StretchWatch(limits.stretch);
  entry.meter.begin(entry.process->cpu_time().value_or(Clock::duration::zero()));
  entry.metered_at = Clock::now();
  entry.look_at = next_common_look(limits, Clock::now());
  wake_at(worker, entry, *entry.look_at);
}

void Workers::call(WorkerId worker, const ipc::WorkerCall& call, const Caller& caller) {
  Entry& entry = entry_of(worker);
  read_meter(entry);
  entry.meter.call_begins();
  if (entry.halted_at) go_on(entry, Clock::now());
  entry.process->send(call, caller);
}

void Workers::open_line(WorkerId worker, const ipc::OpenWorkerLine& open) {
  Entry& entry = entry_of(worker);
  read_meter(entry);
  entry.meter.call_begins();
  if (entry.halted_at) go_on(entry, Clock::now());
  entry.process->send(open);
}

void Workers::call_ended(WorkerId worker) { entry_of(worker).meter.call_ends(); }

const UsageMeter& Workers::meter(WorkerId worker) {
  Entry& entry = entry_of(worker);
  read_meter(entry);
  return entry.meter;
}

// Read once in a turn: the clock costs a system call, and a turn is short.
bool Workers::read_meter(Entry& entry) {
  if (entry.metered_in_turn == turn_.number() || entry.hung_up) return true;
  entry.metered_in_turn = turn_.number();
  const auto cpu_time = entry.process->cpu_time();
  if (!cpu_time) return true;
  const bool used_cpu = note_cpu_time(entry, *cpu_time);
  entry.metered_at = Clock::now();
  entry.meter.read_unclaimed(entry.process->unclaimed_time());
  if (entry.metered_at - entry.memory_seen_at >= kMemoryFresh) see_memory(entry, entry.metered_at);
  return used_cpu;
}

bool Workers::note_cpu_time(Entry& entry, Clock::duration cpu_time) {
  const auto used = entry.meter.read(cpu_time);
  if (used == Clock::duration::zero()) return false;
  if (entry.load != Entry::Load::none) events_.worker_used(entry.process->id(), used);
  return true;
}

void Workers::see_memory(Entry& entry, Clock::time_point now) {
  entry.memory_seen_at = now;
  entry.meter.saw_memory(entry.process->anonymous_bytes());
}

void Workers::refresh_memory(Clock::time_point now) {
  std::vector<WorkerProcess*> due;
  for (auto& [id, entry] : entries_) {
    if (!entry.process) continue;
    const auto seen_at = entry.process->memory_seen_at();
    if (!seen_at || now - *seen_at >= kMemoryKnown) due.push_back(entry.process.get());
  }
  // nullopt, for processes that were never looked at, sorts first.
  std::sort(due.begin(), due.end(),
            [](const auto* one, const auto* other) { return one->memory_seen_at() < other->memory_seen_at(); });
  for (WorkerProcess* process : due) {
    process->look_at_memory(now);
    if (Clock::now() - now >= kMemoryRefresh) return;
  }
}

std::optional<Workers::Clock::time_point> Workers::loaded_at(WorkerId worker) const {
  return entry_of(worker).loaded_at;
}

Workers::Clock::duration Workers::told_run_time(WorkerId worker) const { return entry_of(worker).ran; }

const Limits& Workers::limits(WorkerId worker) const { return entry_of(worker).limits; }

void Workers::cancel(WorkerId worker, CallId call, ipc::CancelReason reason) {
  entry_of(worker).process->send_cancel(call, reason);
}

void Workers::grant(WorkerId worker, CallId call, std::uint64_t bytes) {
  entry_of(worker).process->send_grant(call, bytes);
}

std::optional<StretchView> Workers::stretch_of(WorkerId worker, CallId call) const {
  const WorkerProcess* const found = process(worker);
  if (found == nullptr) return std::nullopt;
  const StretchView view = found->stretch();
  return view.running == static_cast<std::uint64_t>(call) ? std::optional(view) : std::nullopt;
}

// Records why the worker ends. What ran in `found` may be over by now, and its answer on its way.
void Workers::begin_end(Entry& entry, EndCause cause, CallId guilty, const StretchView& found) {
  entry.cause = cause;
  entry.guilty = guilty;
  entry.found = found;
  entry.found_loading = entry.load == Entry::Load::sent && found.running == ipc::SharedPage::kLoading;
  entry.seen_caller = entry.process->caller_of(guilty);
  const bool is_for_what_ran = guilty != CallId{} && guilty == CallId{found.running};
  if (!entry.seen_caller && is_for_what_ran) entry.seen_caller = entry.process->caller_of(found.number);
  entry.look_at.reset();
}

bool Workers::stop(WorkerId worker, EndCause cause, CallId guilty, const StretchView& found) {
  Entry& entry = entry_of(worker);
  if (entry.cause) return true;
  if (entry.hung_up) return false;
  begin_end(entry, cause, guilty, found);
  read_meter(entry);
  if (entry.halted_at) go_on(entry, Clock::now());
  entry.process->ask_to_stop();
  give_time_to_end(entry, Clock::now());
  events_.worker_stopping(worker, entry.guilty, entry.seen_caller);
  return true;
}

void Workers::kill(WorkerId worker, EndCause cause, std::string detail, CallId guilty) {
  Entry& entry = entry_of(worker);
  if (!entry.cause && !entry.hung_up) {
    begin_end(entry, cause, guilty, entry.process->stretch());
    entry.detail = std::move(detail);
  }
  budget_.forget(worker);  // what it holds is free soon; no other worker must end for that
  entry.process->kill();
}

// --- time ----------------------------------------------------------------------------------------------------------

std::optional<Workers::Clock::time_point> Workers::next_wakeup() const {
  std::optional<Clock::time_point> next = zygotes_.next_wakeup();
  if (!wakeups_.empty()) next = std::min(wakeups_.begin()->first, next.value_or(wakeups_.begin()->first));
  if (background_.any_stopped()) next = std::min(next_turn_at_, next.value_or(next_turn_at_));
  return next;
}

void Workers::tick(Clock::time_point now) {
  zygotes_.tick(now);
  give_turns(now);
  while (!wakeups_.empty() && wakeups_.begin()->first <= now) {
    const WorkerId worker = wakeups_.begin()->second;
    Entry& entry = entry_of(worker);
    wakeups_.erase(wakeups_.begin());
    entry.wakeup.reset();
    wake(worker, entry, now);
  }
}

// The last step may end the worker and remove its entry: nothing is looked at afterwards.
void Workers::wake(WorkerId worker, Entry& entry, Clock::time_point now) {
  if (!entry.process) return;
  if (entry.look_at && *entry.look_at <= now) look(entry, now);
  if (entry.kill_at && *entry.kill_at <= now) kill_if_out_of_patience(entry, now);
  const bool resumes = entry.resume_at && *entry.resume_at <= now;
  if (resumes) entry.resume_at.reset();
  const bool settles = !resumes && entry.settle_at && *entry.settle_at <= now;
  for (const auto& when : {entry.look_at, entry.kill_at, entry.resume_at, settles ? std::nullopt : entry.settle_at}) {
    if (when) wake_at(worker, entry, *when);
  }
  if (resumes) {
    const auto process = entry.process;
    process->resume();
  } else if (settles) {
    finish_if_ended(worker, entry);
  }
}

// Whether the worker has nothing to do, as far as its page is believed. If it did something since the last full look,
// the page's count of stretches shows it.
bool Workers::looks_idle(const Entry& entry, const StretchView& view) {
  return entry.meter.calls() == 0 && entry.load == Entry::Load::done && view.running == ipc::SharedPage::kNothing;
}

void Workers::note_idleness(Entry& entry, const StretchView& view, bool used_cpu, Clock::time_point now) {
  const auto phase = static_cast<std::uint64_t>(entry.process->id()) % kIdlePhases;
  entry.idle_stretches = view.count;
  entry.idle_pause = used_cpu
                         ? Clock::duration(kMemoryLook)
                         : std::min<Clock::duration>(2 * entry.idle_pause, kLongestIdlePause + phase * kMemoryLook);
  entry.idle_until = now + entry.idle_pause;
}

void Workers::look(Entry& entry, Clock::time_point now) {
  if (entry.load == Entry::Load::sent && now > entry.load_sent_at + kLongestLoad) {
    begin_end(entry, EndCause::protocol_violation, CallId{}, entry.process->stretch());
    entry.detail = "it neither loaded its module nor said why it could not";
    events_.worker_stopping(entry.process->id(), CallId{}, std::nullopt);
    return entry.process->kill();
  }
  StretchView view = entry.process->stretch();
  view.start = std::clamp(view.start, Clock::time_point(), now);  // the worker may say anything
  // While it was halted, nothing ran.
  if (view.count == entry.halted_in_stretch) view.start += entry.halted_for;
  const bool is_idle = looks_idle(entry, view);
  const bool needs_no_look = is_idle && view.count == entry.idle_stretches && !entry.over_limit_since;
  if (needs_no_look && now < entry.idle_until) {
    entry.look_at = next_common_look(entry.limits, now);
    return;
  }
  const auto verdict = entry.watch.look(
      view, now, [&] { return entry.process->cpu_time(); }, CpuReading{entry.metered_at, entry.meter.cpu_time()});
  if (verdict.exceeded) {
    stop(entry.process->id(), EndCause::cpu_exceeded, CallId{view.running}, view);
    return;
  }
  const milliseconds pause = budget_.is_half_used() ? kMemoryLookWhenShort : kMemoryLook;
  entry.look_at = is_idle ? next_common_look(entry.limits, now) : std::min(verdict.look_again, now + pause);
  see_memory(entry, now);
  const bool used_cpu = read_meter(entry);
  count_mappings(entry, now);
  note_idleness(entry, view, used_cpu, now);
  if (end_for_memory(entry, view, now)) return;
  note_background(entry, view, now);
  if (entry.worn_out) return;
  entry.worn_out = options_.cpu_time.count() > 0 &&
                   entry.process->cpu_time().value_or(Clock::duration::zero()) >= options_.cpu_time / 2;
  if (entry.worn_out) events_.worker_is_worn_out(entry.process->id());
}

// --- memory --------------------------------------------------------------------------------------------------------

// The kernel does not count what it keeps for a process's mappings as the process's memory. Making many mappings
// takes CPU time.
void Workers::count_mappings(Entry& entry, Clock::time_point now) {
  const Clock::duration cpu_time = entry.meter.cpu_time();
  if (now - entry.mappings_counted_at < kMappingsKnown || cpu_time - entry.cpu_at_mappings < kSoonestManyMappings)
    return;
  const auto began = Clock::now();
  if (began < count_mappings_from_) return;  // at a later look
  entry.mappings_counted_at = now;
  entry.cpu_at_mappings = cpu_time;
  entry.mappings = entry.process->count_mappings().value_or(entry.mappings);
  const auto ended = Clock::now();
  count_mappings_from_ = ended + kPauseAfterCounting * (ended - began);
}

std::uint64_t Workers::own_memory(const Entry& entry) const {
  const std::uint64_t held = entry.process->held_bytes() + entry.mappings * kBytesOfMapping;
  return held - std::min(held, empty_held_bytes_);
}

bool Workers::end_for_memory(Entry& entry, const StretchView& view, Clock::time_point now) {
  const std::uint64_t bytes = own_memory(entry);
  const std::uint64_t limit = entry.limits.memory_bytes;
  const std::uint64_t most_mappings =
      std::min<std::uint64_t>(std::max(limit / kLeastMemoryOfMapping, kMostMappings), Broker::kMostMappingsCounted);
  if (entry.mappings >= most_mappings) {
    kill_for_memory(entry, view,
                    fmt::format("it had {} memory mappings; at most {} are allowed", entry.mappings, most_mappings));
    return true;
  }
  if (bytes <= limit + kNativeAllowance) {
    entry.over_limit_since.reset();
  } else if (!entry.over_limit_since) {
    entry.over_limit_since = now;
  }
  const bool is_for_long = entry.over_limit_since && now - *entry.over_limit_since >= kMemoryGrace;
  if (is_for_long || bytes > limit + kMemoryHeadroom) {
    kill_for_memory(entry, view, fmt::format("it held {} in native memory", ipc::format_size(bytes)));
    return true;
  }
  if (entry.over_limit_since) entry.look_at = std::min(*entry.look_at, now + kMemoryLook);
  budget_.saw(entry.process->id(), bytes, limit);
  keep_to_budget();
  return entry.cause.has_value();
}

// Ends the workers first that are furthest over their limits. If all are within their limits, the supervisor makes
// room.
void Workers::keep_to_budget() {
  while (budget_.excess() > 0) {
    const auto furthest = budget_.furthest_over_limit();
    if (!furthest) break;
    Entry& entry = entry_of(*furthest);
    const std::string sum = ipc::format_size(budget_.sum());
    kill_for_memory(
        entry, entry.process->stretch(),
        fmt::format("all modules together held {}, more than the --memory-budget of {}; it held {}, and was "
                    "furthest over its limit",
                    sum, ipc::format_size(budget_.total()), ipc::format_size(own_memory(entry))));
  }
  const bool is_short = budget_.excess() > 0 || (memory_is_short_ && budget_.is_nearly_used_up());
  const bool was_short = std::exchange(memory_is_short_, is_short);
  if (budget_.excess() > 0) {
    events_.memory_is_short(budget_.excess());
  } else if (was_short && !memory_is_short_) {
    events_.memory_is_enough();
  }
}

void Workers::kill_for_memory(Entry& entry, const StretchView& found, std::string detail) {
  const WorkerId worker = entry.process->id();
  budget_.forget(worker);
  if (entry.cause || entry.hung_up) return;
  begin_end(entry, EndCause::out_of_memory, CallId{found.running}, found);
  entry.detail = std::move(detail);
  const auto process = entry.process;
  events_.worker_stopping(worker, entry.guilty, entry.seen_caller);
  process->kill();
}

// --- what is done without a call -----------------------------------------------------------------------------------

// Counts only work between two looks, with no call at either look or in between, because after an answer there is
// always a rest of work. By its page, the worker was at work all the time since its stretch began, whether it had a
// CPU or not. If the page lies, the kernel's count of CPU time is left.
void Workers::note_background(Entry& entry, const StretchView& view, Clock::time_point now) {
  const bool is_without_calls =
      entry.meter.calls() == 0 && entry.load == Entry::Load::done && entry.meter.calls_begun() == entry.calls_at_look;
  entry.calls_at_look = entry.meter.calls_begun();
  const auto used = entry.meter.cpu_time() - std::exchange(entry.cpu_at_look, entry.meter.cpu_time());
  const auto elapsed = now - std::exchange(entry.looked_at, now);
  if (entry.meter.calls() > 0 || entry.load != Entry::Load::done) return;
  if (used > Clock::duration::zero() || view.running != ipc::SharedPage::kNothing) {
    entry.look_at = std::min(entry.look_at.value_or(now + kBackgroundLook), now + kBackgroundLook);
  }
  const bool runs = view.running != ipc::SharedPage::kNothing;
  const auto worked = std::max(used, runs ? std::min(elapsed, now - view.start) : Clock::duration::zero());
  if (!is_without_calls || worked <= Clock::duration::zero()) return;
  if (!background_.worked(entry.process->id(), worked, now)) return;
  entry.process->halt();
  if (std::exchange(entry.halted_in_stretch, view.count) != view.count) entry.halted_for = {};
  entry.halted_at = now;
  entry.look_at.reset();
  next_turn_at_ = std::max(next_turn_at_, now + kBackgroundLook);
}

void Workers::go_on(Entry& entry, Clock::time_point now) {
  if (!entry.halted_at) return;
  const auto halted_for = now - *entry.halted_at;
  if (entry.process->stretch().count == entry.halted_in_stretch) {
    entry.halted_for += halted_for;
    entry.watch.was_halted(halted_for);
  }
  entry.halted_at.reset();
  background_.called(entry.process->id());
  entry.process->go_on();
  if (entry.cause || entry.hung_up) return;
  entry.looked_at = now;
  entry.look_at = now + kBackgroundLook;
  wake_at(entry.process->id(), entry, *entry.look_at);
}

void Workers::give_turns(Clock::time_point now) {
  if (!background_.any_stopped() || now < next_turn_at_) return;
  next_turn_at_ = now + kBackgroundLook;
  if (const auto worker = background_.next_turn(now)) go_on(entry_of(*worker), now);
}

void Workers::give_time_to_end(Entry& entry, Clock::time_point now) {
  entry.asked_to_stop_at = now;
  entry.cpu_when_asked = entry.process->cpu_time().value_or(Clock::duration::zero());
  entry.kill_at = now + kSoftStopPatience;
  wake_at(entry.process->id(), entry, *entry.kill_at);
}

void Workers::kill_if_out_of_patience(Entry& entry, Clock::time_point now) {
  const auto used = entry.process->cpu_time().value_or(Clock::duration::max()) - entry.cpu_when_asked;
  if (used < kSoftStopPatience && now < entry.asked_to_stop_at + kLongestSoftStop) {
    entry.kill_at = std::min(now + kSoftStopPatience - used, entry.asked_to_stop_at + kLongestSoftStop);
    return;
  }
  entry.kill_at.reset();
  entry.process->kill();
}

}  // namespace holdfast::supervisor
