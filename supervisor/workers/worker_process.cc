#include "supervisor/workers/worker_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>

#include "ipc/base/file_status.h"
#include "ipc/base/invariant.h"
#include "ipc/base/pidfd.h"
#include "ipc/worker_status.h"
#include "supervisor/workers/host_memory.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// Limits of a worker's frames: the largest is an answer with the largest payload.
constexpr ipc::FrameLimits kWorkerLimits{.max_bytes = std::size_t{17} << 20, .max_segments = 1};

// A time that the worker tells, which can be no more than it has lived.
nanoseconds at_most(const std::atomic<std::uint64_t>& said, nanoseconds lived) {
  const std::uint64_t time = said.load(std::memory_order_relaxed);
  return time < static_cast<std::uint64_t>(lived.count()) ? nanoseconds(time) : lived;
}

std::uint64_t random_tag() {
  std::uint64_t tag;
  const bool is_filled = ::getrandom(&tag, sizeof tag, 0) == sizeof tag;
  expect(is_filled, "getrandom(2) fills a request of 8 bytes at once");
  return tag;
}

}  // namespace

std::optional<PageMapping> PageMapping::map(const UniqueFd& memory) {
  struct stat status;
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || !file_status(memory, status) ||
      status.st_size < static_cast<off_t>(ipc::kSharedPageBytes)) {
    return std::nullopt;
  }
  void* mapped = ::mmap(nullptr, ipc::kSharedPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (mapped == MAP_FAILED) return std::nullopt;
  return PageMapping(static_cast<ipc::SharedPage*>(mapped));
}

PageMapping::~PageMapping() {
  if (page_ != nullptr) ::munmap(page_, ipc::kSharedPageBytes);
}

WorkerProcess::WorkerProcess(WorkerId id, Turn& turn, Socket socket, UniqueFd pidfd, UniqueFd line, PageMapping page,
                             Broker& broker, std::shared_ptr<FrameAccounts> frames, WorkerProcessEvents& events)
    : Connection(turn, std::move(socket), kWorkerLimits, std::move(frames), UserId{}),
      id_(id),
      pidfd_(std::move(pidfd)),
      page_(std::move(page)),
      tag_(random_tag()),
      line_(std::move(line)),
      broker_(broker),
      forked_at_(steady_clock::now()),
      events_(events) {}

// If a signal cannot be sent, the process is gone already, which its socket will tell.
void WorkerProcess::ask_to_stop() { send_signal(pidfd_, ipc::kSoftStopSignal); }
void WorkerProcess::kill() { send_signal(pidfd_, SIGKILL); }
void WorkerProcess::halt() { send_signal(pidfd_, SIGSTOP); }
void WorkerProcess::go_on() { send_signal(pidfd_, SIGCONT); }

void WorkerProcess::send(ipc::LoadRequest load) {
  load.tag = tag_;
  encode(output(), load);
}

void WorkerProcess::send(ipc::WorkerCall call, const Caller& caller) {
  call.id = calls_.add(CallId{call.id}, callers_.number_of(caller));
  encode(output(), call);
}

void WorkerProcess::send_cancel(CallId call, ipc::CancelReason reason) {
  if (const std::uint64_t number = calls_.number_of(call); number != 0) {
    encode(output(), ipc::WorkerCancel{number, reason});
  }
}

void WorkerProcess::send_grant(CallId call, std::uint64_t bytes) {
  if (const std::uint64_t number = calls_.number_of(call); number != 0) {
    encode_worker_grant(output(), {number, bytes});
  }
}

WorkerProcess::TakenBack WorkerProcess::take_back_calls() {
  const std::uint64_t line = line_call_ == CallId{} ? 0 : ipc::SharedPage::place_of(calls_.number_of(line_call_));
  std::uint64_t started = page_->last_taken.load(std::memory_order_acquire);
  // A worker that starts a call at each try, or says that it does, is not behind.
  constexpr int kMostTries = 8;
  for (int tries = 0; tries < kMostTries; ++tries) {
    const std::uint64_t last = started < line ? line - 1 : calls_.sent();
    if (started >= last) break;
    if (!page_->last_taken.compare_exchange_strong(started, last, std::memory_order_acq_rel)) continue;
    calls_.drop(started, last);
    return {started, last};
  }
  return {};
}

void WorkerProcess::send(ipc::OpenWorkerLine open) {
  open.call = calls_.add(CallId{open.call}, CallerNumbers::kOthers);
  encode(output(), open);
}

UniqueFd WorkerProcess::take_line(CallId line_call, const Caller& caller) {
  if (line_) {
    line_call_ = line_call;
    line_caller_ = caller;
  }
  return std::move(line_);
}

void WorkerProcess::send_close_line() { encode(output(), ipc::CloseWorkerLine{}); }

std::uint64_t WorkerProcess::line_started() const { return page_->line_started.load(std::memory_order_acquire); }

// How long the worker was at work on its direct line, by its own word, including the call that runs now.
nanoseconds WorkerProcess::line_time() const {
  const auto now = steady_clock::now();
  nanoseconds time = at_most(page_->line_time, now - forked_at_);
  const StretchView view = stretch();
  if (running_on_line(view) != 0) time += now - std::clamp(view.start, forked_at_, now);
  return time;
}

std::uint64_t WorkerProcess::running_on_line(const StretchView& view) const {
  using Page = ipc::SharedPage;
  const bool is_open = Page::is_line_call(view.number) && !Page::is_answered_line_call(view.number);
  return line_call_ != CallId{} && is_open ? Page::place_on_line(view.number) : 0;
}

std::optional<Caller> WorkerProcess::caller_of(std::uint64_t number) const {
  using Page = ipc::SharedPage;
  if (Page::is_line_call(number)) return line_caller_;
  const bool is_relayed = number != Page::kNothing && number < Page::kLineBit;
  return is_relayed ? callers_.find(Page::caller_of(number)) : std::nullopt;
}

LineCounts WorkerProcess::line_counts() const {
  static_assert(ipc::kErrorCodeCount <= ipc::SharedPage::kMostErrorCodes);
  LineCounts counts;
  counts.results = page_->line_results.load(std::memory_order_relaxed);
  for (std::size_t code = 0; code < counts.errors.size(); ++code) {
    counts.errors[code] = page_->line_errors[code].load(std::memory_order_relaxed);
  }
  return counts;
}

// What runs for a call that is answered, or that the worker does not have, counts as background work.
std::uint64_t WorkerProcess::running(std::uint64_t number) const {
  using Page = ipc::SharedPage;
  if (number == Page::kNothing || number == Page::kLoading) return number;
  if (Page::is_answered_line_call(number)) return Page::kBackground;
  const CallId call = Page::is_line_call(number) ? line_call_ : calls_.find(number);
  return call == CallId{} ? Page::kBackground : static_cast<std::uint64_t>(call);
}

StretchView WorkerProcess::stretch() const {
  // A worker that begins a stretch at each try lies.
  constexpr int kMostTries = 8;
  StretchView view;
  for (int tries = 0; tries < kMostTries; ++tries) {
    view.number = page_->running.load(std::memory_order_acquire);
    view.count = page_->stretch_count.load(std::memory_order_acquire);
    view.start = steady_clock::time_point(nanoseconds(page_->stretch_start.load(std::memory_order_acquire)));
    if (page_->running.load(std::memory_order_acquire) == view.number &&
        page_->stretch_count.load(std::memory_order_acquire) == view.count) {
      break;
    }
  }
  view.running = running(view.number);
  return view;
}

std::uint64_t WorkerProcess::calls_started() const {
  return std::min(page_->last_taken.load(std::memory_order_acquire), calls_.sent());
}

nanoseconds WorkerProcess::unclaimed_time() const {
  return at_most(page_->unclaimed_time, steady_clock::now() - forked_at_);
}

std::optional<int> WorkerProcess::refused_system_call() const {
  const std::uint32_t number = page_->refused_system_call.load(std::memory_order_acquire);
  if (number == 0) return std::nullopt;
  return static_cast<int>(number - 1);
}

bool WorkerProcess::has_pid() const {
  if (pid_ == 0) pid_ = pid_of(pidfd_, PidSource::ioctl);
  return pid_ != 0;
}

pid_t WorkerProcess::pid() const {
  if (!has_pid()) pid_ = process_info().pid;
  return pid_;
}

const Broker::ProcessInfo& WorkerProcess::process_info() const {
  // Asked again after a failure: the broker may answer next time, or a descriptor may be free.
  if (process_info_.pid == 0) process_info_ = broker_.look_at(pidfd_);
  return process_info_;
}

std::uint64_t WorkerProcess::anonymous_bytes() const { return anonymous_memory(process_info().statm); }

std::uint64_t WorkerProcess::held_bytes() const { return held_memory(process_info().status); }

std::optional<steady_clock::duration> WorkerProcess::cpu_time() const {
  if (!cpu_clock_) {
    clockid_t clock;
    if (pid() == 0 || ::clock_getcpuclockid(pid(), &clock) != 0) return std::nullopt;
    if (!send_signal(pidfd_, 0)) return std::nullopt;  // it is gone: its pid may be another process's by now
    cpu_clock_ = clock;
  }
  timespec time;
  if (::clock_gettime(*cpu_clock_, &time) != 0) return std::nullopt;
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

std::optional<steady_clock::duration> WorkerProcess::cpu_time_without_line() {
  const auto time = cpu_time();
  if (!time) return std::nullopt;
  return line_share_.cpu_time_of_others(*time, line_time(), steady_clock::now() - forked_at_);
}

const WorkerProcess::MemoryLook& WorkerProcess::look_at_memory(steady_clock::time_point now) {
  memory_seen_at_ = now;
  last_memory_look_.anonymous_bytes = anonymous_bytes();
  last_memory_look_.private_bytes =
      private_memory(broker_.open_memory(pidfd_)).value_or(last_memory_look_.anonymous_bytes);
  return last_memory_look_;
}

std::uint64_t WorkerProcess::memory_bytes(const MemoryLook& empty) const {
  const MemoryLook& before = memory_seen_at_ ? last_memory_look_ : empty;
  const std::uint64_t now = before.private_bytes + anonymous_bytes();
  return now - std::min(now, before.anonymous_bytes);
}

void WorkerProcess::on_frame(const ipc::Frame& frame) {
  auto message = ipc::decode_worker_message(frame);
  if (!message) return events_.worker_broke_protocol(*this, message.error());
  std::visit([this](auto& what) { said(what); }, *message);
}

void WorkerProcess::said(ipc::AnswerView& answer) {
  const CallId call = calls_.take(answer.id);
  if (call == CallId{}) {
    return events_.worker_broke_protocol(*this,
                                         {fmt::format("an answer to call {}, which it does not have", answer.id)});
  }
  if (call == line_call_) line_call_ = CallId{};
  if (auto* result = std::get_if<ipc::ResultView>(&answer.outcome)) {
    result->owner = keep_in_place(result->payload);
    events_.worker_answered(*this, call, *result, answer.usage.run);
  } else {
    events_.worker_answered(*this, call, std::get<ipc::Error>(answer.outcome), answer.usage.run);
  }
}

void WorkerProcess::said(const ipc::Stopped& stopped) {
  const bool is_lines = ipc::SharedPage::is_line_call(stopped.call);
  if (is_lines) said_on_line_ = ipc::SharedPage::place_on_line(stopped.call);
  said_caller_ = caller_of(stopped.call);
  events_.worker_stopped(*this, is_lines ? line_call_ : calls_.find(stopped.call), stopped);
}

void WorkerProcess::on_violation(const ipc::ProtocolViolation& violation) {
  events_.worker_broke_protocol(*this, violation);
}

void WorkerProcess::on_frame_given_up(const std::string&) { events_.worker_gave_way(*this); }

void WorkerProcess::on_end(std::string_view) { events_.worker_hung_up(*this); }

}  // namespace holdfast::supervisor
