#include "supervisor/supervisor.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>

#include "ipc/text.h"
#include "ipc/units.h"
#include "supervisor/host_memory.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kMaxFunctionBytes = 256;
// A client that has connected and says nothing holds a descriptor and a place that others could have.
constexpr std::chrono::seconds kHelloPatience{10};
// Lines beyond a module's budget are dropped, but even that takes the time of others: a worker that floods is not read
// from for this long, now and then.
constexpr std::chrono::milliseconds kLogPause{10};
// What all open calls together may hold; a call beyond it is refused at once.
constexpr std::size_t kMaxHeldBytes = std::size_t{512} << 20;
// What a caller that met a full queue may wait before it tries again: a few hundred calls are served meanwhile.
constexpr std::chrono::milliseconds kRetryAfter{100};

ipc::Error make_error(ipc::ErrorCode code, std::string message, ipc::Executed executed = ipc::Executed::no) {
  ipc::Error error;
  error.code = code;
  error.message = std::move(message);
  error.executed = executed;
  return error;
}

ipc::Error overloaded(std::string message) {
  ipc::Error error = make_error(ipc::ErrorCode::overloaded, std::move(message));
  error.retryable = true;
  error.retry_after = kRetryAfter;
  return error;
}

ipc::Error shutting_down(ipc::Executed executed) {
  ipc::Error error = make_error(ipc::ErrorCode::unavailable, "the supervisor is shutting down", executed);
  error.retryable = true;
  error.detail = "shutting_down";
  return error;
}

ipc::Error overdue_in_queue() {
  return make_error(ipc::ErrorCode::deadline_exceeded,
                    "the call's time was over before a worker was free for it; allow it more time, or the supervisor "
                    "more workers (--max-workers)");
}

// What a worker sent under the name of an error, made fit to pass on.
ipc::Error cleaned(ipc::Error error) {
  constexpr std::size_t kMaxTextBytes = 32 << 10;
  error.message = ipc::clean_utf8(error.message, kMaxTextBytes);
  error.stack = ipc::clean_utf8(error.stack, kMaxTextBytes);
  error.detail = ipc::clean_utf8(error.detail, kMaxTextBytes);
  return error;
}

// The errors that a call can end with by what its function did. A worker that sends another would pass its own word
// off as the supervisor's.
bool is_workers_to_say(ipc::ErrorCode code) {
  using enum ipc::ErrorCode;
  return code == exception || code == not_found || code == not_serializable || code == payload_too_large ||
         code == protocol_error || code == cancelled;
}

}  // namespace

Supervisor::Supervisor(boost::asio::io_context& io, const SupervisorOptions& options, const ModuleSources& sources,
                       Broker& broker, std::function<void(std::string)> finished)
    : io_(io),
      options_(options),
      limits_{options.workers.stretch, options.workers.memory_bytes},
      sources_(sources),
      finished_(std::move(finished)),
      turn_(io),
      scheduler_(options.scheduler),
      workers_(io, turn_, broker, options.workers, *this),
      timer_(io) {
  turn_.set_last([this] { end_of_turn(); });
}

Supervisor::~Supervisor() = default;

void Supervisor::start(std::function<void()> ready) {
  ready_ = std::move(ready);
  workers_.start();
}

// --- clients -------------------------------------------------------------------------------------------------------

void Supervisor::add_client(Connection::Socket socket, std::function<void()> left) {
  auto session = std::make_shared<ClientSession>(++last_client_, turn_, std::move(socket), *this);
  if (clients_.size() >= options_.max_clients) {
    return session->turn_away(
        fmt::format("the supervisor serves {} clients already; try again later", clients_.size()));
  }
  newcomers_.emplace_back(steady_clock::now() + kHelloPatience, session);
  turn_.ensure_end();
  clients_.emplace(session.get(), Client{session, std::move(left)});
  session->start();
}

void Supervisor::client_called(ClientSession& client, const ipc::CallRequest& request) {
  const auto refuse = [&](const ipc::Error& error) { client.answer(request.id, error); };
  if (shutdown_at_) return refuse(shutting_down(ipc::Executed::no));
  if (request.payload.size() > ClientSession::kMaxPayloadBytes) {
    return refuse(
        make_error(ipc::ErrorCode::payload_too_large,
                   fmt::format("the payload has {}; at most {} are allowed", ipc::format_size(request.payload.size()),
                               ipc::format_size(ClientSession::kMaxPayloadBytes))));
  }
  const auto module = find_module(request);
  if (!module) return refuse(module.error());
  if (request.function.empty() || request.function.size() > kMaxFunctionBytes) {
    return refuse(
        make_error(ipc::ErrorCode::not_found, fmt::format("a function's name has 1 to {} bytes, this one has {}",
                                                          kMaxFunctionBytes, request.function.size())));
  }

  Call call{&client,
            request.id,
            *module,
            std::string(request.function),
            std::string(ipc::as_text(request.payload)),
            request.encoding,
            request.arguments};
  const std::size_t bytes = call.held_bytes();
  if (held_bytes_ + bytes > kMaxHeldBytes) {
    return refuse(overloaded(
        fmt::format("the open calls of all clients hold {}; try again later", ipc::format_size(held_bytes_))));
  }
  const CallId id{++last_call_};
  client.opened(request.id, id, bytes);
  held_bytes_ += bytes;
  calls_.emplace(id, std::move(call));

  const auto timeout =
      request.timeout.count() == 0 ? options_.default_timeout : std::min(request.timeout, options_.longest_timeout);
  const TimePoint now = steady_clock::now();
  scheduler_.call_arrived(id, *module, now + timeout, now, decisions_);
  carry_out();
}

tl::expected<ModuleId, ipc::Error> Supervisor::find_module(const ipc::CallRequest& request) {
  for (const auto& [part, what] : {std::pair{request.module, "module"}, std::pair{request.version, "version"}}) {
    if (auto problem = ipc::name_problem(part, what)) {
      return tl::unexpected(make_error(ipc::ErrorCode::not_found, "there is no such module: " + *problem));
    }
  }
  ModuleName name{std::string(request.module), std::string(request.version)};
  if (const auto known = module_ids_.find(name); known != module_ids_.end()) return known->second;
  if (!sources_.contains(name)) return tl::unexpected(sources_.not_found(name));
  const ModuleId id{module_names_.size() + 1};
  const auto entry = module_ids_.emplace(std::move(name), id).first;
  module_names_.push_back(&entry->first);
  return id;
}

void Supervisor::client_cancelled(ClientSession& client, CallId id) {
  Call& call = calls_.at(id);
  const bool on_worker = !scheduler_.is_queued(id);
  client.answer(call.client_id,
                make_error(ipc::ErrorCode::cancelled, "the call was cancelled by its client",
                           on_worker ? ipc::Executed::maybe : ipc::Executed::no),
                ipc::Usage{}, call.held_bytes());
  call.client = nullptr;
  abandon(id);
}

void Supervisor::client_left(ClientSession& client) {
  const auto found = clients_.find(&client);
  if (found == clients_.end()) return;
  const Client gone = std::move(found->second);
  clients_.erase(found);
  for (const auto& [client_id, call] : client.open_calls()) {
    calls_.at(call).client = nullptr;
    abandon(call);
  }
  carry_out();
  if (gone.left) gone.left();
}

// Nobody waits for the call any more. If a worker has it, it is told, and the call is kept until it answers.
void Supervisor::abandon(CallId id) {
  const auto worker = scheduler_.abandon(id, steady_clock::now());
  if (worker) {
    workers_.cancel(*worker, id);
  } else {
    held_bytes_ -= calls_.at(id).held_bytes();
    calls_.erase(id);
  }
  turn_.ensure_end();
}

template <typename Outcome>
void Supervisor::finish(CallId id, const Outcome& outcome) {
  const auto call = calls_.find(id);
  if (call == calls_.end()) std::abort();  // whatever the scheduler knows is known here
  const std::size_t bytes = call->second.held_bytes();
  if (call->second.client != nullptr) call->second.client->answer(call->second.client_id, outcome, ipc::Usage{}, bytes);
  held_bytes_ -= bytes;
  calls_.erase(call);
}

ipc::WorkerList Supervisor::list_workers() {
  ipc::WorkerList list;
  const auto now = steady_clock::now();
  for (const auto& [id, view] : scheduler_.workers()) {
    ipc::WorkerInfo info;
    if (view.module) {
      const ModuleName& name = *module_names_[static_cast<std::size_t>(*view.module) - 1];
      info.module = name.module;
      info.version = name.version;
    }
    switch (view.phase) {
      case WorkerPhase::starting:
        info.state = ipc::WorkerState::starting;
        break;
      case WorkerPhase::standby:
        info.state = ipc::WorkerState::standby;
        break;
      case WorkerPhase::loading:
        info.state = ipc::WorkerState::loading;
        break;
      case WorkerPhase::ready:
        info.state = view.calls_in_flight > 0 ? ipc::WorkerState::busy : ipc::WorkerState::idle;
        break;
      case WorkerPhase::leaving:
        continue;
    }
    info.calls_in_flight = static_cast<std::uint32_t>(view.calls_in_flight);
    info.calls_done = view.calls_done;
    if (const WorkerProcess* process = workers_.process(id)) {
      info.pid = process->pid();
      info.memory_bytes = process->memory_bytes(now);
      info.age = now - process->forked_at();
      info.cpu = process->cpu_time().value_or(Duration::zero());
      if (info.state == ipc::WorkerState::standby && !process->is_ready()) info.state = ipc::WorkerState::starting;
    }
    list.workers.push_back(std::move(info));
  }
  return list;
}

ipc::Stats Supervisor::stats() {
  ipc::Stats stats;
  ipc::StatsTotals& totals = stats.totals;
  totals.version = HOLDFAST_VERSION;
  totals.clients = static_cast<std::uint32_t>(clients_.size());
  totals.max_workers = static_cast<std::uint32_t>(options_.scheduler.max_workers);
  totals.standby_target = static_cast<std::uint32_t>(options_.scheduler.standby);
  for (const auto& [id, view] : scheduler_.workers()) {
    totals.calls_in_flight += static_cast<std::uint32_t>(view.calls_in_flight);
    if (view.phase == WorkerPhase::standby) ++totals.standbys;
    if (view.phase == WorkerPhase::loading || view.phase == WorkerPhase::ready) ++totals.workers;
  }
  return stats;
}

void Supervisor::loader_registered(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds) {
  client.answer_registration(id, make_error(ipc::ErrorCode::permission_denied, "no client may load modules here"));
}

// No client was asked for any.
void Supervisor::source_given(ClientSession&, std::uint64_t, const ipc::SourceOutcome&) {}

// --- workers -------------------------------------------------------------------------------------------------------

void Supervisor::zygote_ready() {
  if (ready_) {
    scheduler_.start(steady_clock::now(), decisions_);
    carry_out();
    std::exchange(ready_, nullptr)();
  }
  spdlog::debug("zygote: ready");
}

void Supervisor::zygote_failed(const std::string& reason, bool fatal) {
  if (stopped_) return;
  if (fatal) return stop(fmt::format("cannot start workers: {}", reason));
  spdlog::error("zygote: {}; its workers, if it had any, die with it", reason);
}

void Supervisor::zygote_replaced() {
  spdlog::debug("zygote: replaced by another; workers that hold a module live on under the old one");
  scheduler_.renew_standbys(steady_clock::now(), decisions_);
  carry_out();
}

void Supervisor::worker_forked(WorkerId worker) {
  scheduler_.worker_forked(worker, steady_clock::now(), decisions_);
  carry_out();
}

void Supervisor::worker_fork_failed(WorkerId worker, const std::string& reason) {
  spdlog::error("cannot fork a worker: {}", reason);
  scheduler_.worker_fork_failed(worker, steady_clock::now(), decisions_);
  carry_out();
}

void Supervisor::worker_loaded(WorkerId worker) {
  scheduler_.worker_loaded(worker, steady_clock::now(), decisions_);
  carry_out();
}

void Supervisor::worker_load_failed(WorkerId worker, ipc::Error error) {
  error = cleaned(std::move(error));
  error.code = ipc::ErrorCode::load_failed;
  error.executed = ipc::Executed::no;
  spdlog::warn("{}: cannot be loaded: {}", module_of(worker), ipc::printable(error.message, ipc::Newlines::escape));
  for (CallId call : scheduler_.load_failed(worker, steady_clock::now(), decisions_)) finish(call, error);
  carry_out();
}

bool Supervisor::worker_answered(WorkerId worker, ipc::AnswerView answer) {
  const CallId id{answer.id};
  if (!scheduler_.is_on(id, worker)) return false;
  if (const auto* result = std::get_if<ipc::ResultView>(&answer.outcome)) {
    if (result->payload.size() > ClientSession::kMaxPayloadBytes) return false;
    finish(id, *result);
  } else {
    const auto& error = std::get<ipc::Error>(answer.outcome);
    if (!is_workers_to_say(error.code)) return false;
    finish(id, cleaned(error));
  }
  scheduler_.call_answered(id, steady_clock::now(), decisions_);
  carry_out();
  return true;
}

void Supervisor::worker_logged(WorkerId worker, const ipc::LogLine& line) {
  LogBudget& budget = log_budgets_[scheduler_.view(worker).module.value_or(ModuleId{0})];
  const TimePoint now = steady_clock::now();
  if (!budget.take(line.text.size(), now)) {
    if (budget.is_flooded()) workers_.hold(worker, now + kLogPause);
    return;
  }
  const std::string module = module_of(worker);
  if (const std::size_t dropped = budget.take_dropped(); dropped > 0) {
    spdlog::warn("{}: {} log lines dropped: the module logs more than {}/s", module, dropped,
                 ipc::format_size(static_cast<std::uint64_t>(LogBudget::kBytesPerSecond)));
  }
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                   spdlog::level::err};
  constexpr std::size_t kMaxLineBytes = 8 << 10;
  const std::string text = ipc::printable(ipc::clean_utf8(line.text, kMaxLineBytes), ipc::Newlines::escape);
  const std::string call =
      line.call == 0 ? "" : fmt::format(" call {}", workers_.process(worker)->request_id(line.call));
  spdlog::log(kLevels[static_cast<std::size_t>(line.level)], "{}{}: {}", module, call, text);
}

void Supervisor::worker_is_worn_out(WorkerId worker) {
  spdlog::info("{}: its worker has used half of the CPU time that it may use (--cpu-limit); replacing it",
               module_of(worker));
  scheduler_.retire(worker, steady_clock::now(), decisions_);
  carry_out();
}

void Supervisor::worker_stopping(WorkerId worker) { scheduler_.worker_stopping(worker); }

void Supervisor::worker_ended(WorkerId worker, const WorkerEnd& end) {
  if (stopped_) return;
  const std::string module = module_of(worker);
  const auto now = steady_clock::now();
  WorkerEnd shown = end;
  shown.stack = ipc::clean_utf8(end.stack, 32 << 10);
  shown.detail = ipc::clean_utf8(end.detail, 1 << 10);
  if (end.cause == EndCause::removed) {
    spdlog::debug("{}: worker removed", module);
  } else {
    spdlog::warn("{}: worker ended: {}", module, ipc::printable(describe(shown, limits_), ipc::Newlines::escape));
  }
  if (end.cause == EndCause::lock_failed) scheduler_.forks_fail(now);
  // The worker's word on which call it was in counts only if it has that call.
  if (!scheduler_.is_on(shown.guilty, worker)) shown.guilty = end.running;
  if (failed_to_load(end)) {
    const ipc::Error error = load_error(shown, limits_);
    for (CallId call : scheduler_.load_failed(worker, now, decisions_)) finish(call, error);
  }
  std::string guilty_function;
  const auto guilty = calls_.find(shown.guilty);
  if (guilty != calls_.end() && scheduler_.is_on(shown.guilty, worker)) guilty_function = guilty->second.function;
  const auto ended = scheduler_.worker_lost(worker, end.last_started, now, decisions_);
  for (CallId call : ended) {
    if (call > end.last_started) {
      finish(call, overdue_in_queue());  // its time ran out before it was begun
    } else {
      finish(call,
             call == shown.guilty ? guilty_error(shown, limits_) : bystander_error(shown, limits_, guilty_function));
    }
  }
  carry_out();
}

std::string Supervisor::module_of(WorkerId worker) const {
  const auto module = scheduler_.view(worker).module;
  return module ? to_string(*module_names_[static_cast<std::size_t>(*module) - 1]) : "standby";
}

// --- decisions -----------------------------------------------------------------------------------------------------

// Carrying out a decision may lead to further ones, which are appended meanwhile.
void Supervisor::carry_out() {
  turn_.ensure_end();
  if (carrying_out_) return;
  carrying_out_ = true;
  for (std::size_t i = 0; i < decisions_.size(); ++i) {
    const Decision decision = decisions_[i];
    std::visit([this](const auto& what) { carry_out(what); }, decision);
  }
  decisions_.clear();
  carrying_out_ = false;
}

void Supervisor::carry_out(const ForkWorker& decision) { workers_.fork(decision.worker); }

void Supervisor::carry_out(const LoadModule& decision) {
  const ModuleName& name = *module_names_[static_cast<std::size_t>(decision.module) - 1];
  const auto source = sources_.read(name);
  if (!source) {
    for (CallId call : scheduler_.load_failed(decision.worker, steady_clock::now(), decisions_)) {
      finish(call, source.error());
    }
    workers_.kill(decision.worker, EndCause::removed);
    return;
  }
  spdlog::debug("{}: loading {}", to_string(name), source->file_name);
  workers_.load(decision.worker, {.module = name.module,
                                  .version = name.version,
                                  .file_name = source->file_name,
                                  .source = ipc::as_bytes(source->text),
                                  .memory_bytes = options_.workers.memory_bytes,
                                  .max_payload_bytes = ClientSession::kMaxPayloadBytes,
                                  .clock_resolution = options_.clock_resolution,
                                  .allow_code_from_strings = options_.code_from_strings.covers(name)});
}

void Supervisor::carry_out(const DispatchCall& decision) {
  const auto found = calls_.find(decision.call);
  if (found == calls_.end()) return;  // its module could not be read
  const Call& call = found->second;
  workers_.call(decision.worker, {.id = static_cast<std::uint64_t>(decision.call),
                                  .function = call.function,
                                  .payload = ipc::as_bytes(call.payload),
                                  .encoding = call.encoding,
                                  .arguments = call.arguments});
}

void Supervisor::carry_out(const KillWorker& decision) {
  constexpr std::string_view kReasons[] = {"evicted for a module that waits", "idle", "replaced by another"};
  spdlog::debug("{}: removing its worker ({})", module_of(decision.worker),
                kReasons[static_cast<std::size_t>(decision.reason)]);
  workers_.kill(decision.worker, EndCause::removed);
}

void Supervisor::carry_out(const CallOverdue& decision) {
  if (!decision.worker) {
    return finish(decision.call, overdue_in_queue());
  }
  if (workers_.is_running(*decision.worker, decision.call)) {
    return workers_.stop(*decision.worker, EndCause::deadline_exceeded, decision.call);
  }
  Call& call = calls_.at(decision.call);
  if (call.client != nullptr) {
    call.client->answer(call.client_id,
                        make_error(ipc::ErrorCode::deadline_exceeded,
                                   "the call's time was over; its function was not on the CPU but waited for something",
                                   ipc::Executed::maybe),
                        ipc::Usage{}, call.held_bytes());
    call.client = nullptr;
  }
  abandon(decision.call);
}

// A worker reads a cancellation after the calls that were sent before it: while those go on, it is only late. One that
// does nothing, that uses the CPU and answers nothing, whatever its page says, or that has been late for a minute, is
// stuck.
void Supervisor::carry_out(const CancelOverdue& decision) {
  constexpr unsigned kMostTimesLate = 60;
  Call& call = calls_.at(decision.call);
  const WorkerProcess& process = *workers_.process(decision.worker);
  const StretchView stretch = process.stretch();
  const std::uint64_t answers = scheduler_.view(decision.worker).calls_done;
  const Duration cpu_time = process.cpu_time().value_or(Duration::zero());
  const bool is_first = call.times_late++ == 0;
  const bool does_nothing = stretch.running == ipc::SharedPage::kNothing && stretch.count == call.late_look.stretches;
  call.late_look.stretches = stretch.count;
  if (is_first || answers != call.late_look.answers) {
    call.late_look.answers = answers;
    call.late_look.cpu_time = cpu_time;
  }
  const bool comes_to_nothing = cpu_time - call.late_look.cpu_time > 2 * options_.workers.stretch;
  if (call.times_late < kMostTimesLate && (is_first || (!does_nothing && !comes_to_nothing))) return;
  scheduler_.worker_stopping(decision.worker);
  workers_.kill(decision.worker, EndCause::ignored_cancel);
}

void Supervisor::carry_out(const RefuseCall& decision) {
  if (decision.reason == RefuseCall::Reason::queue_full) {
    return finish(decision.call, overloaded(fmt::format("{} calls wait for this module already; try again later",
                                                        options_.scheduler.queue_limit)));
  }
  ipc::Error error = make_error(ipc::ErrorCode::worker_crashed,
                                fmt::format("the call was given to {} workers, and each ended before it was started",
                                            options_.scheduler.max_attempts));
  error.retryable = true;
  finish(decision.call, error);
}

// --- time ----------------------------------------------------------------------------------------------------------

bool Supervisor::everything_is_sent() const {
  return std::all_of(clients_.begin(), clients_.end(),
                     [](const auto& entry) { return entry.second.session->all_sent(); });
}

void Supervisor::cut_off_the_silent(TimePoint now) {
  for (; !newcomers_.empty(); newcomers_.pop_front()) {
    const auto session = newcomers_.front().second.lock();
    if (!session || session->greeted()) continue;
    if (newcomers_.front().first > now) return;
    session->cut_off("no hello came within 10 seconds");
  }
}

void Supervisor::end_of_turn() {
  if (stopped_) return;
  if (shutdown_at_ && scheduler_.open_calls() == 0 && everything_is_sent()) return finish_shutdown();
  arm_timer();
}

// The timer is only ever moved to an earlier time: on the way of a call there is then no system call for it.
void Supervisor::arm_timer() {
  std::optional<TimePoint> next = scheduler_.next_wakeup();
  const auto consider = [&](std::optional<TimePoint> when) {
    if (when && (!next || *when < *next)) next = when;
  };
  consider(workers_.next_wakeup());
  consider(shutdown_at_);
  if (!newcomers_.empty()) consider(newcomers_.front().first);
  if (!next || (timer_at_ && *timer_at_ <= *next)) return;
  timer_at_ = next;
  timer_.expires_at(*next);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) on_timer();
  });
}

void Supervisor::on_timer() {
  timer_at_.reset();
  const TimePoint now = steady_clock::now();
  workers_.tick(now);
  scheduler_.tick(now, decisions_);
  carry_out();
  cut_off_the_silent(now);
  if (shutdown_at_ && *shutdown_at_ <= now) finish_shutdown();
}

// --- the end -------------------------------------------------------------------------------------------------------

void Supervisor::begin_shutdown() {
  if (shutdown_at_) return finish_shutdown();
  shutdown_at_ = steady_clock::now() + options_.shutdown_grace;
  spdlog::info("shutting down; {} open calls have {} to finish", scheduler_.open_calls(),
               ipc::format_duration(options_.shutdown_grace));
  turn_.ensure_end();
}

void Supervisor::finish_shutdown() { end(""); }

void Supervisor::end(std::string reason) {
  if (stopped_) return;
  shutdown_at_ = steady_clock::now();
  for (auto& [id, call] : calls_) {
    if (call.client == nullptr) continue;
    call.client->answer(call.client_id,
                        shutting_down(scheduler_.is_queued(id) ? ipc::Executed::no : ipc::Executed::maybe),
                        ipc::Usage{}, call.held_bytes());
    call.client = nullptr;
  }
  const auto clients = std::exchange(clients_, {});
  for (const auto& [session, client] : clients) session->close();
  stop(std::move(reason));
}

void Supervisor::stop(std::string reason) {
  if (std::exchange(stopped_, true)) return;
  timer_.cancel();
  finished_(std::move(reason));
}

}  // namespace holdfast::supervisor
