#include "supervisor/module_logs.h"

#include <fmt/format.h>

#include <algorithm>

#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "supervisor/log/log_output.h"

namespace holdfast::supervisor {
namespace {

constexpr std::size_t kMaxLineBytes = 8 << 10;

ipc::LogRecord record_of(const KnownModule& module, ipc::LogLevel level) {
  return {.time = std::chrono::system_clock::now().time_since_epoch(),
          .level = level,
          .module = module.name.module,
          .version = module.name.version,
          .request_id = {},
          .text = {}};
}

}  // namespace

// --- who reads -----------------------------------------------------------------------------------------------------

void ModuleLogs::subscribe(ClientSession& client, const ipc::SubscribeLogsRequest& request) {
  if (auto refusal = refusal_for(client)) return client.answer_subscription(request.id, std::move(refusal));
  const LogFilter filter{std::string(request.module), std::string(request.version)};
  last_lines_.for_last(request.backlog, filter,
                       [&](const ipc::LogRecord& record) { client.show_line(request.id, record); });
  if (request.follow) {
    client.follow_logs(request.id, filter);
    readers_.insert(&client);
  }
  client.answer_subscription(request.id, std::nullopt);
}

void ModuleLogs::client_left(ClientSession& client) {
  permission_.client_left(client);
  readers_.erase(&client);
}

// --- lines from workers --------------------------------------------------------------------------------------------

ModuleLogs::Ruling ModuleLogs::rule_on(KnownModule& module, const ipc::LogLine& line,
                                       const std::optional<CallReader>& call, TimePoint now) {
  LogBudget& budget = module.log_budget;
  const auto dropped = [&] {
    lines_were_dropped(module, now);
    return budget.is_flooded() ? Ruling::flood : Ruling::dropped;
  };
  if (line.dropped > 0) {
    budget.note_dropped(line.dropped);
    if (call) {
      call->dropped =
          std::min(call->dropped, LogBudget::kMostBelieved) + std::min(line.dropped, LogBudget::kMostBelieved);
    }
    if (line.text.empty()) return dropped();
    lines_were_dropped(module, now);
  }
  if (budget.take(line.text.size(), now, {module.settings.log_rate_bytes, module.settings.log_burst_bytes})) {
    return Ruling::accepted;
  }
  if (call) ++call->dropped;
  return dropped();
}

void ModuleLogs::publish(const KnownModule& module, const ipc::LogLine& line, std::string request_id,
                         const std::optional<CallReader>& call) {
  ipc::LogRecord record = record_of(module, line.level);
  record.text = ipc::clean_utf8(line.text, kMaxLineBytes);
  record.request_id = std::move(request_id);
  if (call) {
    tell_of_dropped(module, *call);
    if (!call->client.show_line_of_call(call->client_id, record)) ++call->dropped;
  }
  show(record);
  last_lines_.add(std::move(record));
}

void ModuleLogs::show(const ipc::LogRecord& record) {
  log_module_line(record);
  for (ClientSession* reader : readers_) reader->show_line(record);
}

// --- dropped lines -------------------------------------------------------------------------------------------------

void ModuleLogs::tell_client_of_dropped(const KnownModule& module, const CallReader& call) {
  ipc::LogRecord note = record_of(module, ipc::LogLevel::warning);
  note.dropped = call.dropped;
  note.text = fmt::format("{} log {} dropped: there were more than could be passed on", note.dropped,
                          note.dropped == 1 ? "line" : "lines");
  if (call.client.show_line_of_call(call.client_id, note)) call.dropped = 0;
}

// Reports dropped lines a little later, all at once.
void ModuleLogs::lines_were_dropped(KnownModule& module, TimePoint now) {
  if (std::exchange(module.dropped_is_to_be_told, true)) return;
  to_tell_.emplace_back(now + kDroppedPause, module.id);
  turn_.ensure_end();
}

void ModuleLogs::tell_of_dropped(KnownModule& module) {
  module.dropped_is_to_be_told = false;
  ipc::LogRecord note = record_of(module, ipc::LogLevel::warning);
  note.dropped = module.log_budget.take_dropped();
  if (note.dropped == 0) return;
  note.text = fmt::format("{} log {} dropped: the module logs more than {}/s", note.dropped,
                          note.dropped == 1 ? "line" : "lines", ipc::format_size(module.settings.log_rate_bytes));
  show(note);
  last_lines_.add(std::move(note));
}

void ModuleLogs::tick(TimePoint now) {
  for (; !to_tell_.empty() && to_tell_.front().first <= now; to_tell_.pop_front()) {
    if (KnownModule* module = modules_.find(to_tell_.front().second)) tell_of_dropped(*module);
  }
}

std::optional<ModuleLogs::TimePoint> ModuleLogs::next_wakeup() const {
  if (to_tell_.empty()) return std::nullopt;
  return to_tell_.front().first;
}

}  // namespace holdfast::supervisor
