// What modules log: how much of it is accepted, and which clients may read it.
#include <fmt/format.h>

#include <algorithm>

#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "supervisor/log/log_output.h"
#include "supervisor/supervisor.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

// Lines beyond a module's budget are dropped, but even dropping takes time from others: now and then, the supervisor
// stops reading from a worker that floods the log for this long.
constexpr std::chrono::milliseconds kLogPause{10};
// How often dropped lines are reported.
constexpr std::chrono::seconds kDroppedPause{1};
constexpr std::size_t kMaxLineBytes = 8 << 10;

std::string dropped_lines(std::uint64_t count, const ModuleSettings& settings) {
  return fmt::format("{} log {} dropped: the module logs more than {}/s", count, count == 1 ? "line" : "lines",
                     ipc::format_size(settings.log_rate_bytes));
}

}  // namespace

// --- which clients may read ----------------------------------------------------------------------------------------

std::optional<ipc::Error> Supervisor::refusal_to_read_logs(ClientSession& client) {
  const auto user = client.peer_uid();
  if (user && options_.log_readers.covers(*user)) return std::nullopt;
  // A warning once only: a client can ask as often as it likes.
  bool& was_logged = clients_.at(&client).logs_refusal_was_logged;
  log_client_line(client.user(), std::exchange(was_logged, true) ? ipc::LogLevel::debug : ipc::LogLevel::warning,
                  fmt::format("{}: may not read modules' logs: user {} is not listed in --allow-logs", client.name(),
                              user ? std::to_string(*user) : "unknown"));
  return make_error(ipc::ErrorCode::permission_denied,
                    "this user may not read modules' logs; the supervisor's --allow-logs must list it");
}

void Supervisor::logs_wanted(ClientSession& client, const ipc::SubscribeLogsRequest& request) {
  if (auto refusal = refusal_to_read_logs(client)) {
    return client.answer_subscription(request.id, std::move(refusal));
  }
  const LogFilter filter{std::string(request.module), std::string(request.version)};
  log_.for_last(request.backlog, filter, [&](const ipc::LogRecord& record) { client.show_line(request.id, record); });
  if (request.follow) {
    client.follow_logs(request.id, filter);
    log_readers_.insert(&client);
  }
  client.answer_subscription(request.id, std::nullopt);
}

// --- lines from workers --------------------------------------------------------------------------------------------

void Supervisor::worker_logged(WorkerId worker, const ipc::LogLine& line) {
  KnownModule& module = *module_of(worker);
  const WorkerProcess& process = *workers_.process(worker);
  const auto found = calls_.find(process.call_with_number(line.call));
  Call* const caller = found != calls_.end() && found->second.wants_logs ? &found->second : nullptr;
  LogBudget& budget = module.log_budget;
  const TimePoint now = steady_clock::now();
  if (line.dropped > 0) {
    budget.note_dropped(line.dropped);
    if (caller != nullptr) {
      caller->lines_dropped =
          std::min(caller->lines_dropped, LogBudget::kMostBelieved) + std::min(line.dropped, LogBudget::kMostBelieved);
    }
    lines_were_dropped(module);
    if (line.text.empty()) {
      if (budget.is_flooded()) workers_.hold(worker, now + kLogPause);
      return;
    }
  }
  if (!budget.take(line.text.size(), now, {module.settings.log_rate_bytes, module.settings.log_burst_bytes})) {
    if (budget.is_flooded()) workers_.hold(worker, now + kLogPause);
    if (caller != nullptr) ++caller->lines_dropped;
    return lines_were_dropped(module);
  }
  ipc::LogRecord record = record_of(module, line.level);
  record.text = ipc::clean_utf8(line.text, kMaxLineBytes);
  if (line.call != 0) record.request_id = process.request_id(line.call);
  if (caller != nullptr) show_to_caller(*caller, record);
  publish(std::move(record));
}

ipc::LogRecord Supervisor::record_of(const KnownModule& module, ipc::LogLevel level) const {
  return {.time = std::chrono::system_clock::now().time_since_epoch(),
          .level = level,
          .module = module.name.module,
          .version = module.name.version,
          .request_id = {},
          .text = {}};
}

void Supervisor::publish(ipc::LogRecord record) {
  log_module_line(record);
  for (ClientSession* reader : log_readers_) reader->show_line(record);
  log_.add(std::move(record));
}

void Supervisor::show_to_caller(Call& call, const ipc::LogRecord& record) {
  if (call.client == nullptr) return;
  tell_caller_of_dropped(call);
  if (!call.client->show_line_of_call(call.client_id, record)) ++call.lines_dropped;
}

// --- dropped lines -------------------------------------------------------------------------------------------------

void Supervisor::tell_caller_of_dropped(Call& call) {
  if (call.lines_dropped == 0) return;
  ipc::LogRecord note = record_of(*call.module, ipc::LogLevel::warning);
  note.dropped = call.lines_dropped;
  note.text = fmt::format("{} log {} dropped: there were more than could be passed on", note.dropped,
                          note.dropped == 1 ? "line" : "lines");
  if (call.client->show_line_of_call(call.client_id, note)) call.lines_dropped = 0;
}

// Reports dropped lines a little later, all at once.
void Supervisor::lines_were_dropped(KnownModule& module) {
  if (std::exchange(module.dropped_is_to_be_told, true)) return;
  dropped_to_tell_.emplace_back(steady_clock::now() + kDroppedPause, module.id);
  turn_.ensure_end();
}

void Supervisor::tell_of_dropped(KnownModule& module) {
  module.dropped_is_to_be_told = false;
  ipc::LogRecord note = record_of(module, ipc::LogLevel::warning);
  note.dropped = module.log_budget.take_dropped();
  if (note.dropped == 0) return;
  note.text = dropped_lines(note.dropped, module.settings);
  publish(std::move(note));
}

void Supervisor::tell_of_dropped(TimePoint now) {
  for (; !dropped_to_tell_.empty() && dropped_to_tell_.front().first <= now; dropped_to_tell_.pop_front()) {
    if (KnownModule* module = modules_.find(dropped_to_tell_.front().second)) tell_of_dropped(*module);
  }
}

}  // namespace holdfast::supervisor
