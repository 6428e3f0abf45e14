// The supervisor's modules: where their code comes from, and what happens when it changes.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "ipc/base/text.h"
#include "supervisor/call_errors.h"
#include "supervisor/log/log_output.h"
#include "supervisor/supervisor.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

ipc::Error load_failure(const ModuleName& name, const std::string& reason) {
  return make_error(ipc::ErrorCode::load_failed, fmt::format("cannot load {}: {}", to_string(name), reason));
}

}  // namespace

// --- fetching code -------------------------------------------------------------------------------------------------

void Supervisor::fetch(KnownModule& module) {
  // A file goes before a loader, also a file that appeared later. If the file is gone, a loader may have the module.
  if (module.origin == KnownModule::Origin::loader) {
    if (sources_.contains(module.name)) module.origin = KnownModule::Origin::directory;
  } else if (!loaders_.empty() && !sources_.contains(module.name)) {
    module.origin = KnownModule::Origin::loader;
  }
  if (module.origin == KnownModule::Origin::loader) return ask_loader(module);
  release_source(module);
  // A file is read only when there is a worker for it.
  if (module.opened.expired()) {
    if (auto opened = sources_.open_file(module.name)) {
      module.opened = opened_.keep(std::move(*opened), steady_clock::now());
    }
  }
  scheduler_.source_ready(module.id, steady_clock::now(), decisions_);
}

tl::expected<ModuleSource, ipc::Error> Supervisor::take_source(KnownModule& module) {
  if (module.origin == KnownModule::Origin::directory) {
    const auto opened = std::exchange(module.opened, {}).lock();
    return opened ? sources_.read(module.name, std::move(*opened)) : sources_.read(module.name);
  }
  if (!module.source) {
    return tl::unexpected(overloaded(fmt::format(
        "cannot load {}: its code waited for a worker, and memory for code from loaders is short; try again later",
        to_string(module.name))));
  }
  ModuleSource source = std::move(*module.source);
  release_source(module);
  return source;
}

void Supervisor::release_source(KnownModule& module) {
  module.source.reset();
  module.source_share.reset();
}

void Supervisor::source_failed(KnownModule& module, const ipc::Error& error) {
  // A shortage says nothing about the module.
  const bool is_own_fault = !is_shortage(error);
  if (is_own_fault) remember_failure(module, error);
  const bool was_found = error.code != ipc::ErrorCode::not_found;
  if (was_found && source_log_budget_.take(error.message.size(), steady_clock::now())) {
    if (const std::size_t dropped = source_log_budget_.take_dropped(); dropped > 0) {
      spdlog::warn("log lines about modules that could not be loaded were dropped: {}", dropped);
    }
    spdlog::warn("{}", ipc::printable(error.message, ipc::Newlines::escape));
  }
  const auto fault = is_own_fault ? Scheduler::Fault::of_module : Scheduler::Fault::of_others;
  for (CallId call : scheduler_.source_failed(module.id, steady_clock::now(), decisions_, fault)) finish(call, error);
  // Names without a module behind them are not remembered: callers could make up any number of them.
  const bool may_be_made_up = !was_found || (!is_own_fault && !module.content);
  if (may_be_made_up && scheduler_.forget(module.id)) modules_.forget(module.id);
}

// --- clients as loaders --------------------------------------------------------------------------------------------

void Supervisor::loader_registered(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds timeout) {
  const auto user = client.peer_uid();
  if (!user || !options_.loaders.covers(*user)) {
    // A warning once only: a client can ask as often as it likes.
    bool& was_logged = clients_.at(&client).refusal_was_logged;
    log_client_line(client.user(), std::exchange(was_logged, true) ? ipc::LogLevel::debug : ipc::LogLevel::warning,
                    fmt::format("{}: may not load modules: user {} is not listed in --allow-loader", client.name(),
                                user ? std::to_string(*user) : "unknown"));
    return client.answer_registration(
        id, make_error(ipc::ErrorCode::permission_denied,
                       "this user may not load modules; the supervisor's --allow-loader must list it"));
  }
  const bool is_new =
      loaders_.add(client, timeout.count() == 0 ? options_.loader_timeout : std::min(timeout, options_.loader_timeout));
  client.answer_registration(id, std::nullopt);
  if (!is_new) return;
  log_client_line(client.user(), ipc::LogLevel::info,
                  client.name() + ": registered as a loader of modules that are in no file");
  // Modules that could not be had may be known to this loader.
  const TimePoint now = steady_clock::now();
  for (const auto& [name, module] : modules_.all()) {
    const bool is_loaders = module->origin == KnownModule::Origin::loader ||
                            (module->last_failure && module->last_failure->code == ipc::ErrorCode::not_found);
    if (is_loaders && scheduler_.view(module->id, now).held_off_until) {
      scheduler_.end_hold_off(module->id, now, decisions_);
    }
  }
  carry_out();
}

void Supervisor::ask_loader(KnownModule& module) {
  release_source(module);
  module.ask_share.reset();
  const TimePoint now = steady_clock::now();
  if (loaders_.empty()) {
    ipc::Error error = load_failure(module.name, "no file has it, and no client is registered to load it");
    error.retryable = true;
    return source_failed(module, error);
  }
  const Accountant<KnownModule>::Member user(accounts_->asks, module.last_caller());
  for (;;) {
    const auto ruling = accounts_->asks.request(user, 1);
    if (ruling.granted) break;
    const auto refusal = overloaded("too many modules are being loaded for this user; try again later");
    KnownModule* const other = ruling.gives_way;
    if (other == nullptr || other->ask_share->user() == user.user()) return source_failed(module, refusal);
    loaders_.give_up(other->id);
    other->ask_share.reset();
    source_failed(*other, refusal);
  }
  module.ask_share.emplace(user, module);
  module.ask_share->use(1, now);
  loaders_.ask(module.id, module.name, now);
  turn_.ensure_end();
}

bool Supervisor::keep_source(KnownModule& module, const ipc::SourceCode& code) {
  const TimePoint now = steady_clock::now();
  const Accountant<KnownModule>::Member user(accounts_->sources, module.last_caller());
  for (;;) {
    const auto ruling = accounts_->sources.request(user, code.text.size());
    if (ruling.granted) break;
    KnownModule* const other = ruling.gives_way;
    if (other == nullptr || other->source_share->user() == user.user()) return false;
    release_source(*other);  // take_source() then answers its calls with an error
  }
  module.source = ModuleSource{std::string(code.file_name), std::string(ipc::as_text(code.text))};
  module.source_share.emplace(user, module);
  module.source_share->use(code.text.size(), now);
  return true;
}

void Supervisor::source_given(ClientSession& client, std::uint64_t id, const ipc::SourceOutcome& outcome) {
  const TimePoint now = steady_clock::now();
  const bool is_known = !std::holds_alternative<ipc::SourceNotFound>(outcome);
  const auto asked = is_known ? loaders_.take(client, id) : loaders_.is_not_known(client, id, now);
  if (!asked) return turn_.ensure_end();
  KnownModule& module = modules_.of(*asked);
  module.ask_share.reset();
  const auto* code = std::get_if<ipc::SourceCode>(&outcome);
  if (code != nullptr && keep_source(module, *code)) {
    scheduler_.source_ready(module.id, now, decisions_);
    carry_out();
    // It was sent to a worker, or no call waits for it any more.
    if (!scheduler_.view(module.id, now).needs_source) release_source(module);
  } else if (code != nullptr) {
    source_failed(module, overloaded("memory for code from loaders that waits for workers is short; try again later"));
  } else if (const auto* failed = std::get_if<ipc::SourceFailed>(&outcome)) {
    source_failed(module, load_failure(module.name, fmt::format("its loader says: {}", failed->reason)));
  } else {
    source_failed(module, make_error(ipc::ErrorCode::not_found,
                                     fmt::format("there is no module {}: no file has it, and no loader knows it",
                                                 to_string(module.name))));
  }
  carry_out();
}

void Supervisor::give_up_on_loaders(TimePoint now) {
  for (ModuleId id : loaders_.take_overdue(now)) {
    KnownModule& module = modules_.of(id);
    module.ask_share.reset();
    ipc::Error error = load_failure(module.name, "its loader did not answer in time (--loader-timeout)");
    error.retryable = true;
    source_failed(module, error);
  }
}

// --- changed files -------------------------------------------------------------------------------------------------

// A changed version is worth a warning: what was tested may not be what runs.
bool Supervisor::note_content(KnownModule& module, const ModuleSource& source) {
  const std::size_t content = content_mark(source);
  const bool is_another = module.content && *module.content != content;
  if (is_another) {
    spdlog::warn("{}: its content has changed; workers with the old code finish their calls and are replaced",
                 to_string(module.name));
  }
  module.content = content;
  return is_another;
}

void Supervisor::module_files_changed(const std::set<std::string>& files) {
  const auto warm = settings_.warm();
  bool has_come = false;  // whether a module with min_warm has appeared
  for (const ModuleName& name : sources_.names_for(files)) {
    if (KnownModule* module = modules_.find(name)) {
      check_content(*module);
    } else {
      has_come = has_come || std::ranges::any_of(warm, [&](const auto& entry) { return entry.first == name; });
    }
  }
  if (has_come) keep_warm();
  carry_out();
}

void Supervisor::all_module_files_may_have_changed() {
  for (const auto& [name, module] : modules_.all()) check_content(*module);
  keep_warm();
  carry_out();
}

// A change to a file before a client sent a call must be known before the call is handled. All calls of a turn were
// received before the turn began to end. So the event loop has mostly run the watch's handler already, which costs no
// system call; otherwise one look serves all calls of the turn.
bool Supervisor::look_at_file(KnownModule& module) {
  if (watch_ == nullptr) return false;
  const bool is_told = watch_->awaits_events() && turn_.has_handled_what_was_before();
  const bool has_looked = std::exchange(looked_in_turn_, turn_.number()) == turn_.number();
  const bool is_news = is_told || has_looked ? watch_->has_news() : watch_->look();
  if (!is_news || !watch_->take(sources_.watched_paths_of(module.name))) return false;
  check_content(module);
  carry_out();
  return true;
}

// Only a module that was loaded can have changed, and a file that was merely touched has not. A module that could not
// be read may have been repaired.
void Supervisor::check_content(KnownModule& module) {
  module.opened.reset();
  if (!module.content && !module.last_failure) return;
  const auto source = sources_.read(module.name);
  module.is_to_be_checked = !source && is_shortage(source.error());
  if (module.is_to_be_checked) return;
  if (source) {
    if (module.content == content_mark(*source)) return;
    module.origin = KnownModule::Origin::directory;
    note_content(module, *source);
  } else {
    const bool had_file = module.origin == KnownModule::Origin::directory && module.content;
    if (!had_file) return;
    spdlog::warn("{}: its file cannot be read any more; its workers finish their calls and are removed",
                 to_string(module.name));
    module.content.reset();
  }
  module.last_failure.reset();
  scheduler_.source_changed(module.id, steady_clock::now(), decisions_);
}

}  // namespace holdfast::supervisor
