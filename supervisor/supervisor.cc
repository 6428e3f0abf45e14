#include "supervisor/supervisor.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "ipc/base/invariant.h"
#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "ipc/call_rules.h"
#include "ipc/large_memory.h"
#include "supervisor/call_errors.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

// How often clients and workers that send part of a frame, or clients that read nothing, are looked for, as long as
// there may be any.
constexpr std::chrono::seconds kStalledPause{1};
// How many calls give way at most for one new call.
constexpr int kMostGivingWay = 64;
static_assert(SchedulerOptions{}.cancel_grace > ipc::kCancelGrace);
// The memory of large frames is kept for the next ones, and released after this long without any.
constexpr std::chrono::seconds kMemoryKept{1};

// Size of a call's result in bytes; for an error, the size of its texts.
std::size_t bytes_of(const ipc::Error& error) {
  return error.message.size() + error.stack.size() + error.detail.size();
}

FunctionId function_id(std::string_view name) { return FunctionId{std::hash<std::string_view>()(name)}; }

}  // namespace

Supervisor::Supervisor(boost::asio::io_context& io, const SupervisorOptions& options, const ModuleSources& sources,
                       Broker& broker, std::function<void(std::string)> finished)
    : options_(options),
      settings_(options.settings),
      finished_(std::move(finished)),
      scheduler_(options.scheduler),
      workers_(io, turn_, broker, options.workers, *this, *this),
      accounts_(std::make_shared<ClientAccounts>(options.max_clients, options.client_memory_bytes)),
      clients_(turn_, *this, accounts_, options.closer),
      code_({.sources = sources,
             .settings = settings_,
             .accounts = *accounts_,
             .turn = turn_,
             .modules = modules_,
             .scheduler = scheduler_,
             .decisions = decisions_,
             .answers = *this},
            options.loaders, options.loader_timeout),
      logs_(options.log_readers, turn_, modules_),
      views_({.turn = turn_,
              .scheduler = scheduler_,
              .workers = workers_,
              .modules = modules_,
              .clients = clients_,
              .logs = logs_,
              .bring_counts_up_to_date = [this] { count_lines(); }},
             options.scheduler.max_workers),
      alarm_(io, [this] { on_alarm(); }) {
  turn_.set_last([this] { end_of_turn(); });
}

Supervisor::~Supervisor() = default;

void Supervisor::start(std::function<void()> ready) {
  ready_ = std::move(ready);
  code_.add_warm();
  carry_out();
  workers_.start();
}

// --- settings ------------------------------------------------------------------------------------------------------

std::optional<std::string> Supervisor::apply(Settings settings) {
  if (settings.largest_memory() > options_.workers.largest_memory_bytes) {
    return fmt::format(
        "a module would have {} of memory, but workers were started for at most {}; restart to change that",
        ipc::format_size(settings.largest_memory()), ipc::format_size(options_.workers.largest_memory_bytes));
  }
  const Settings former = std::exchange(settings_, std::move(settings));
  const TimePoint now = steady_clock::now();
  for (const auto& [name, module] : modules_.all()) {
    const ModuleSettings before = std::exchange(module->settings, settings_.of(name));
    // A worker keeps its environment and its limits for life.
    const bool has_new_environment = former.environment_of(name) != settings_.environment_of(name);
    if (has_new_environment) scheduler_.retire_all(module->id, now, decisions_);
    if (module->settings == before) continue;
    scheduler_.configure(module->id, module->settings, now, decisions_);
    if (has_new_environment) continue;
    if (module->settings.stretch != before.stretch || module->settings.memory_bytes != before.memory_bytes) {
      scheduler_.retire_all(module->id, now, decisions_);
    }
  }
  code_.add_warm();
  carry_out();
  return std::nullopt;
}

// --- module files --------------------------------------------------------------------------------------------------

void Supervisor::module_files_changed(const std::set<std::string>& files) {
  code_.files_changed(files);
  carry_out();
}

void Supervisor::all_module_files_may_have_changed() {
  code_.all_files_may_have_changed();
  carry_out();
}

// --- clients -------------------------------------------------------------------------------------------------------

void Supervisor::add_client(Connection::Socket socket, std::function<void()> left) {
  clients_.add(std::move(socket), std::move(left));
}

void Supervisor::client_called(ClientSession& client, const ipc::CallRequest& request) {
  const auto refuse = [&](const ipc::Error& error) {
    client.answer(request.id, error);
    carry_out();  // what was decided when its module became known
  };
  if (shutdown_at_) return refuse(shutting_down(ipc::Executed::no));
  if (const auto problem = ipc::size_problem(request, ClientSession::kMaxPayloadBytes)) return refuse(*problem);
  if (request.logs) {
    if (const auto refusal = logs_.refusal_for(client)) return refuse(*refusal);
  }
  const auto found = find_module(request.module, request.version);
  if (!found) {
    client.let_others_go_first();  // which cost a round trip to the broker
    return refuse(found.error());
  }
  KnownModule& module = **found;
  const std::size_t bytes = request.function.size() + request.payload.size();
  if (!make_room_for(client, bytes)) {
    ++module.counts.refused;
    refuse(overloaded(fmt::format("memory for open calls is short: all clients hold {}, this user {}; try again later",
                                  ipc::format_size(accounts_->calls.used()),
                                  ipc::format_size(client.calls_member().used()))));
    return code_.forget_if_unused(module);
  }

  const CallId id{++last_call_};
  const TimePoint now = steady_clock::now();
  const auto timeout = ipc::call_time(request.timeout, {module.settings.timeout, options_.longest_timeout});
  const ArrivedCall arrived{.id = id,
                            .module = module.id,
                            .caller = {client.user(), client.id(), function_id(request.function)},
                            .deadline = now + timeout,
                            .idempotent = request.idempotent};
  // A call that is refused is not copied.
  auto refused = scheduler_.call_arrived(arrived, now, decisions_);
  if (refused && make_room_in_queue(*refused, client, id, module)) {
    refused = scheduler_.call_arrived(arrived, now, decisions_);
  }
  if (refused) {
    ++module.counts.refused;
    refuse(refusal(*refused, module, options_.scheduler));
    return code_.forget_if_unused(module);
  }
  ++module.counts.calls;
  Call& call = open_call(client, request.id, arrived, module, bytes, now);
  call.function = request.function;
  call.payload_bytes = request.payload.size();
  call.payload = client.keep_payload(request);
  call.encoding = request.encoding;
  call.arguments = request.arguments;
  call.result_encoding = request.result_encoding;
  call.stream_window_bytes = request.stream_window_bytes;
  call.wants_logs = request.logs;
  call.share.emplace(client.calls_member(), call.id);
  call.share->use(bytes, now);
  carry_out();
}

// Notes a call that the scheduler has accepted.
Supervisor::Call& Supervisor::open_call(ClientSession& client, std::uint64_t client_id, const ArrivedCall& arrived,
                                        KnownModule& module, std::size_t bytes, TimePoint now) {
  client.opened(client_id, arrived.id, bytes);
  module.note_caller(client.user());
  Call& call = calls_.try_emplace(arrived.id).first->second;
  call.id = arrived.id;
  call.client = &client;
  call.client_id = client_id;
  call.module = &module;
  call.deadline = arrived.deadline;
  call.waits_since = now;
  return call;
}

bool Supervisor::make_room_for(const ClientSession& client, std::size_t bytes) {
  for (int times = 0;; ++times) {
    const auto ruling = accounts_->calls.request(client.calls_member(), bytes);
    if (ruling.granted) return true;
    if (ruling.gives_way == nullptr || times == kMostGivingWay) return false;
    if (!give_way(*ruling.gives_way, client)) return false;
  }
}

// Makes a call use less memory. The payload of a call that was sent to a worker is only kept for running it again: it
// is dropped, and the call cannot be run again. A call that waits is answered with an error. False: that would be a
// call of the client whose new call needs the room.
bool Supervisor::give_way(CallId id, const ClientSession& newcomer) {
  Call& call = calls_.at(id);
  const TimePoint now = steady_clock::now();
  if (scheduler_.is_queued(id)) {
    if (call.client == &newcomer) return false;
    scheduler_.abandon(id, now, decisions_);
    finish(id, gave_way_for_memory());
    return true;
  }
  if (workers_.has_unsent(call.worker)) {
    call.share->made_progress(now);  // the payload would stay in the worker's output anyway
    return true;
  }
  scheduler_.call_streamed(id);
  call.payload = ipc::KeptBytes(ipc::Bytes());
  call.share->use(call.function.size(), now);
  return true;
}

bool Supervisor::make_room_in_queue(const RefuseCall& refused, const ClientSession& client, CallId id,
                                    const KnownModule& module) {
  const bool is_modules = refused.reason == RefuseCall::Reason::module_queue_full;
  if (!is_modules && refused.reason != RefuseCall::Reason::all_queues_full) return false;
  if (const TimePoint now = steady_clock::now(); crowds_.is_look_due(now)) {
    crowds_.begin_look();
    for (const auto& [waiting, call] : calls_) {
      if (call.client == nullptr || call.worker != WorkerId{} || call.line || !scheduler_.is_queued(waiting)) continue;
      crowds_.add({call.module->id, scheduler_.is_in_quarantine(waiting)}, call.client->user(), call.client->id(),
                  waiting);
    }
    crowds_.end_look(now, steady_clock::now());
  }
  Crowd* const crowd = is_modules ? crowds_.in({module.id, refused.of_quarantine}) : crowds_.in_all();
  if (crowd == nullptr) return false;
  while (const auto call = crowd->give_way_to(client.user(), client.id())) {
    if (!calls_.contains(*call) || !scheduler_.is_queued(*call)) continue;  // it no longer waits
    scheduler_.abandon(*call, steady_clock::now(), decisions_);
    finish(*call,
           overloaded("the queue is full, and users or connections with fewer calls in it go first; try again later"));
    crowd->add(client.user(), client.id(), id);
    return true;
  }
  return false;
}

tl::expected<KnownModule*, ipc::Error> Supervisor::find_module(std::string_view module_name, std::string_view version) {
  for (const auto& [part, what] : {std::pair{module_name, "module"}, std::pair{version, "version"}}) {
    if (auto problem = ipc::name_problem(part, what)) {
      return tl::unexpected(make_error(ipc::ErrorCode::not_found, "there is no such module: " + *problem));
    }
  }
  const ModuleName name{std::string(module_name), std::string(version)};
  if (KnownModule* known = modules_.find(name)) {
    if (!code_.check_before_call(*known)) return known;
    carry_out();
    if (modules_.find(name) == known) return known;
  }
  const auto added = code_.add(name);
  carry_out();
  return added;
}

void Supervisor::client_cancelled(ClientSession&, CallId id) {
  Call& call = calls_.at(id);
  if (call.line) {
    give_up_line(id, call);
    return carry_out();
  }
  answer(call, cancelled_by_client(scheduler_.is_queued(id) ? ipc::Executed::no : ipc::Executed::maybe));
  abandon(id, ipc::CancelReason::cancelled);
  carry_out();  // by the next event, a decision may be about a worker that is gone
}

void Supervisor::client_granted(CallId id, std::uint64_t bytes) {
  Call& call = calls_.at(id);
  const std::uint64_t granted = std::min(bytes, call.ungranted_bytes);
  if (granted == 0 || call.worker == WorkerId{}) return;
  call.ungranted_bytes -= granted;
  call.withheld_bytes += granted;
  pass_grants_on(id, call);
}

// Passes what the client granted on to the worker: at once if the worker is held up and may now go on, else in halves
// of a window. A client may grant byte by byte, and a busy worker does not read the grants.
void Supervisor::pass_grants_on(CallId id, Call& call) {
  const std::uint64_t window = call.stream_window_bytes;
  if (call.withheld_bytes == 0 || call.ungranted_bytes >= window) return;
  const bool is_held_up = call.ungranted_bytes + call.withheld_bytes >= window;
  if (is_held_up || call.withheld_bytes >= window / 2) {
    workers_.grant(call.worker, id, std::exchange(call.withheld_bytes, 0));
  }
}

void Supervisor::client_left(ClientSession& client) {
  const Clients::Client gone = clients_.remove(client);
  if (gone.session == nullptr) return;
  views_.client_left(client);
  logs_.client_left(client);
  for (const auto& [client_id, call] : client.open_calls()) {
    Call& left = calls_.at(call);
    left.client = nullptr;
    if (left.line) {
      give_up_line(call, left);
      continue;
    }
    ++left.module->counts.errors[static_cast<std::size_t>(ipc::ErrorCode::cancelled)];
    abandon(call, ipc::CancelReason::cancelled);
  }
  code_.client_left(client);
  carry_out();
  if (gone.left) gone.left();
}

void Supervisor::loader_registered(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds timeout) {
  code_.register_loader(client, id, timeout);
  carry_out();
}

void Supervisor::source_given(ClientSession& client, std::uint64_t id, const ipc::SourceOutcome& outcome) {
  const auto ready = code_.take_in(client, id, outcome);
  carry_out();
  if (KnownModule* module = ready ? modules_.find(*ready) : nullptr) code_.release_unless_needed(*module);
}

// Gives up a call that no client waits for any more. If a worker has the call, the worker is told, and the call is kept
// until the worker answers it. This may add decisions, which the caller must carry out.
void Supervisor::abandon(CallId id, ipc::CancelReason reason) {
  const auto worker = scheduler_.abandon(id, steady_clock::now(), decisions_);
  if (worker) {
    workers_.cancel(*worker, id, reason);
  } else {
    forget(id);
  }
  turn_.ensure_end();
}

// --- answers -------------------------------------------------------------------------------------------------------

// Notes that the calls of a lost worker that were not answered wait again.
void Supervisor::note_attempts(const std::vector<CallId>& calls) {
  for (CallId id : calls) {
    if (const auto call = calls_.find(id); call != calls_.end())
      call->second.lost_worker(workers_, steady_clock::now());
  }
}

void Supervisor::answer(Call& call, const ipc::ResultView& result) {
  const ipc::Usage usage = call.take_usage(workers_, steady_clock::now(), result.payload.size());
  ++call.module->counts.results;
  if (call.client == nullptr) return;
  if (const auto reader = call.log_reader()) logs_.tell_of_dropped(*call.module, *reader);
  call.client->answer(call.client_id, result, usage, call.held_bytes());
  call.client = nullptr;
}

void Supervisor::answer(Call& call, const ipc::Error& error) {
  if (call.line) return refuse_or_end_line(call, error);
  const ipc::Usage usage = call.take_usage(workers_, steady_clock::now(), bytes_of(error));
  ++call.module->counts.errors[static_cast<std::size_t>(error.code)];
  if (call.client == nullptr) return;
  if (const auto reader = call.log_reader()) logs_.tell_of_dropped(*call.module, *reader);
  call.client->answer(call.client_id, error, usage, call.held_bytes());
  call.client = nullptr;
}

// Answers a call that the scheduler has forgotten.
void Supervisor::finish(CallId id, const ipc::Error& error) {
  const auto call = calls_.find(id);
  expect(call != calls_.end(), "a call that the scheduler knows is known here");
  if (call->second.client != nullptr) answer(call->second, error);
  forget(id);
}

void Supervisor::forget(CallId id) {
  const auto call = calls_.find(id);
  KnownModule& module = *call->second.module;
  lines_.erase(id);
  calls_.erase(call);
  // The last call that waited for the code may be gone before there was a worker for it.
  code_.release_unless_needed(module);
}

// --- time ----------------------------------------------------------------------------------------------------------

void Supervisor::end_of_turn() {
  if (stopped_) return;
  close_lines_of_withdrawn_workers();
  views_.end_of_turn();
  if (shutdown_at_ && scheduler_.open_calls() == 0 && clients_.all_sent()) return end("");
  set_alarm();
}

void Supervisor::set_alarm() {
  std::optional<TimePoint> next = scheduler_.next_wakeup();
  const auto consider = [&](std::optional<TimePoint> when) {
    if (when && (!next || *when < *next)) next = when;
  };
  consider(workers_.next_wakeup());
  consider(shutdown_at_);
  consider(code_.next_wakeup());
  consider(clients_.next_wakeup());
  consider(logs_.next_wakeup());
  if (!release_memory_at_ && ipc::LargeMemory::kept_bytes() > 0) {
    release_memory_at_ = steady_clock::now() + kMemoryKept;
  }
  consider(release_memory_at_);
  if (!look_for_stalled_at_ && (clients_.may_stall() || workers_.has_part_of_a_frame())) {
    look_for_stalled_at_ = steady_clock::now() + kStalledPause;
  }
  consider(look_for_stalled_at_);
  consider(views_.next_wakeup());
  consider(look_at_lines_at_);
  if (next) alarm_.set(*next);
}

void Supervisor::on_alarm() {
  const TimePoint now = steady_clock::now();
  workers_.tick(now);
  code_.tick(now);
  scheduler_.tick(now, decisions_);
  carry_out();
  clients_.tick(now);
  logs_.tick(now);
  look_at_lines(now);
  views_.tick();
  if (look_for_stalled_at_ && *look_for_stalled_at_ <= now) {
    look_for_stalled_at_.reset();
    workers_.give_up_stalled_frames(now);
    clients_.let_go_of_stalled(now);
  }
  if (release_memory_at_ && *release_memory_at_ <= now) {
    release_memory_at_.reset();
    ipc::LargeMemory::release_unused();
  }
  if (shutdown_at_ && *shutdown_at_ <= now) end("");
}

// --- the end -------------------------------------------------------------------------------------------------------

void Supervisor::begin_shutdown() {
  if (shutdown_at_) return end("");
  shutdown_at_ = steady_clock::now() + options_.shutdown_grace;
  spdlog::info("shutting down; open calls: {}, time to finish: {}", scheduler_.open_calls(),
               ipc::format_duration(options_.shutdown_grace));
  turn_.ensure_end();
}

void Supervisor::end(std::string reason) {
  if (stopped_) return;
  shutdown_at_ = steady_clock::now();
  for (auto& [id, call] : calls_) {
    if (call.client == nullptr) continue;
    answer(call, shutting_down(scheduler_.is_queued(id) ? ipc::Executed::no : ipc::Executed::maybe));
  }
  logs_.forget_readers();
  clients_.close_all();
  stop(std::move(reason));
}

void Supervisor::stop(std::string reason) {
  if (std::exchange(stopped_, true)) return;
  alarm_.cancel();
  finished_(std::move(reason));
}

}  // namespace holdfast::supervisor
