#include "supervisor/module_code.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "ipc/base/text.h"
#include "supervisor/call_errors.h"
#include "supervisor/log/log_output.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

// Looking through all modules takes some milliseconds; it is not done for each call while none can be forgotten.
constexpr std::chrono::seconds kForgetPause{1};

ipc::Error load_failure(const ModuleName& name, const std::string& reason) {
  return make_error(ipc::ErrorCode::load_failed, fmt::format("cannot load {}: {}", to_string(name), reason));
}

}  // namespace

ModuleCode::ModuleCode(const Surroundings& surroundings, const AllowedUsers& loaders,
                       std::chrono::nanoseconds loader_timeout)
    : in_(surroundings), permission_(loaders, "load modules", "--allow-loader"), loader_timeout_(loader_timeout) {}

// --- which modules are known ---------------------------------------------------------------------------------------

tl::expected<KnownModule*, ipc::Error> ModuleCode::add(const ModuleName& name) {
  auto opened = in_.sources.open_file(name);
  if (!opened && ModuleSources::is_shortage(opened.error())) {
    ipc::Error error = make_error(ipc::ErrorCode::unavailable,
                                  fmt::format("cannot look for the file of {} just now; try again", to_string(name)));
    error.retryable = true;
    return tl::unexpected(std::move(error));
  }
  const bool has_file = ModuleSources::is_there(opened);
  if (!has_file && loaders_.empty()) return tl::unexpected(in_.sources.not_found(name));
  if (in_.modules.size() >= Modules::kMost) forget_idle_modules();
  if (in_.modules.size() >= Modules::kMost) {
    return tl::unexpected(overloaded("the supervisor has reached its limit of modules; try again later"));
  }
  const auto origin = has_file ? KnownModule::Origin::directory : KnownModule::Origin::loader;
  KnownModule& module = in_.modules.add(name, origin, in_.settings.of(name));
  if (opened) module.opened = opened_.keep(std::move(*opened), steady_clock::now());
  in_.scheduler.configure(module.id, module.settings, steady_clock::now(), in_.decisions);
  return &module;
}

void ModuleCode::add_warm() {
  for (const auto& [name, settings] : in_.settings.warm()) {
    if (in_.modules.find(name) != nullptr) continue;
    if (!in_.sources.contains(name)) {
      spdlog::warn("{}: cannot be kept warm (min_warm): {}", to_string(name), in_.sources.not_found(name).message);
      continue;
    }
    const KnownModule& module = in_.modules.add(name, KnownModule::Origin::directory, settings);
    in_.scheduler.configure(module.id, settings, steady_clock::now(), in_.decisions);
  }
}

void ModuleCode::forget_if_unused(KnownModule& module) {
  if (module.last_failure || module.counts.calls > 0) return;
  if (in_.scheduler.forget(module.id)) in_.modules.forget(module.id);
}

// Forgets idle modules that came from loaders, whose number no files bound. Their counts are lost.
void ModuleCode::forget_idle_modules() {
  const TimePoint now = steady_clock::now();
  if (now < forget_again_at_) return;
  forget_again_at_ = now + kForgetPause;
  std::vector<ModuleId> idle;
  for (const auto& [name, module] : in_.modules.all()) {
    if (module->origin != KnownModule::Origin::loader || in_.scheduler.view(module->id, now).held_off_until) continue;
    if (in_.scheduler.forget(module->id)) idle.push_back(module->id);
  }
  for (ModuleId id : idle) {
    release(in_.modules.of(id));
    in_.modules.forget(id);
  }
  spdlog::warn("module limit reached ({}): dropped {} idle {} supplied by loaders", in_.modules.size() + idle.size(),
               idle.size(), idle.size() == 1 ? "module" : "modules");
}

// --- fetching code -------------------------------------------------------------------------------------------------

void ModuleCode::fetch(KnownModule& module) {
  // A file goes before a loader, also a file that appeared later. If the file is gone, a loader may have the module.
  if (module.origin == KnownModule::Origin::loader) {
    if (in_.sources.contains(module.name)) module.origin = KnownModule::Origin::directory;
  } else if (!loaders_.empty() && !in_.sources.contains(module.name)) {
    module.origin = KnownModule::Origin::loader;
  }
  if (module.origin == KnownModule::Origin::loader) return ask_loader(module);
  release(module);
  // A file is read only when there is a worker for it.
  if (module.opened.expired()) {
    if (auto opened = in_.sources.open_file(module.name)) {
      module.opened = opened_.keep(std::move(*opened), steady_clock::now());
    }
  }
  in_.scheduler.source_ready(module.id, steady_clock::now(), in_.decisions);
}

tl::expected<ModuleSource, ipc::Error> ModuleCode::take(KnownModule& module) {
  if (module.origin == KnownModule::Origin::directory) {
    const auto opened = std::exchange(module.opened, {}).lock();
    return opened ? in_.sources.read(module.name, std::move(*opened)) : in_.sources.read(module.name);
  }
  if (!module.source) {
    return tl::unexpected(overloaded(fmt::format(
        "cannot load {}: its code waited for a worker, and memory for code from loaders is short; try again later",
        to_string(module.name))));
  }
  ModuleSource source = std::move(*module.source);
  release(module);
  return source;
}

void ModuleCode::release(KnownModule& module) {
  module.source.reset();
  module.source_share.reset();
}

void ModuleCode::look_whether_needed(KnownModule& module) {
  if (!in_.scheduler.view(module.id, steady_clock::now()).needs_source) release(module);
}

void ModuleCode::fail(KnownModule& module, const ipc::Error& error) {
  // A shortage says nothing about the module.
  const bool is_own_fault = !is_shortage(error);
  if (is_own_fault) remember_failure(module, error);
  const bool was_found = error.code != ipc::ErrorCode::not_found;
  if (was_found && log_budget_.take(error.message.size(), steady_clock::now())) {
    if (const std::size_t dropped = log_budget_.take_dropped(); dropped > 0) {
      spdlog::warn("log lines about modules that could not be loaded were dropped: {}", dropped);
    }
    spdlog::warn("{}", ipc::printable(error.message, ipc::Newlines::escape));
  }
  const auto fault = is_own_fault ? Scheduler::Fault::of_module : Scheduler::Fault::of_others;
  for (CallId call : in_.scheduler.source_failed(module.id, steady_clock::now(), in_.decisions, fault)) {
    in_.answers.finish(call, error);
  }
  // A name that may stand for no module is not remembered: callers could make up any number of names.
  const bool may_be_made_up = !was_found || (!is_own_fault && !module.content);
  if (may_be_made_up && in_.scheduler.forget(module.id)) in_.modules.forget(module.id);
}

// --- clients as loaders --------------------------------------------------------------------------------------------

void ModuleCode::register_loader(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds timeout) {
  if (auto refusal = permission_.refusal_for(client)) return client.answer_registration(id, std::move(refusal));
  const bool is_new = loaders_.add(client, timeout.count() == 0 ? loader_timeout_ : std::min(timeout, loader_timeout_));
  client.answer_registration(id, std::nullopt);
  if (!is_new) return;
  log_client_line(client.user(), ipc::LogLevel::info,
                  client.name() + ": registered as a loader of modules that are in no file");
  // Modules that could not be had may be known to this loader.
  const TimePoint now = steady_clock::now();
  for (const auto& [name, module] : in_.modules.all()) {
    const bool is_loaders = module->origin == KnownModule::Origin::loader ||
                            (module->last_failure && module->last_failure->code == ipc::ErrorCode::not_found);
    if (is_loaders && in_.scheduler.view(module->id, now).held_off_until) {
      in_.scheduler.end_hold_off(module->id, now, in_.decisions);
    }
  }
}

void ModuleCode::client_left(const ClientSession& client) {
  permission_.client_left(client);
  // Another loader may know the modules that this client was asked for. Their shares are reset first, so that none of
  // them gives way to another of them.
  const std::vector<ModuleId> unanswered = loaders_.remove(client);
  for (ModuleId module : unanswered) in_.modules.of(module).ask_share.reset();
  for (ModuleId id : unanswered) {
    // The failure of a module before it may have ended what it is known for.
    if (KnownModule* module = in_.modules.find(id)) ask_loader(*module);
  }
}

void ModuleCode::ask_loader(KnownModule& module) {
  release(module);
  module.ask_share.reset();
  const TimePoint now = steady_clock::now();
  if (loaders_.empty()) {
    ipc::Error error = load_failure(module.name, "no file has it, and no client is registered to load it");
    error.retryable = true;
    return fail(module, error);
  }
  const Accountant<KnownModule>::Member user(in_.accounts.asks, module.last_caller());
  for (;;) {
    const auto ruling = in_.accounts.asks.request(user, 1);
    if (ruling.granted) break;
    const auto refusal = overloaded("too many modules are being loaded for this user; try again later");
    KnownModule* const other = ruling.gives_way;
    if (other == nullptr || other->ask_share->user() == user.user()) return fail(module, refusal);
    loaders_.give_up(other->id);
    other->ask_share.reset();
    fail(*other, refusal);
  }
  module.ask_share.emplace(user, module);
  module.ask_share->use(1, now);
  loaders_.ask(module.id, module.name, now);
  in_.turn.ensure_end();
}

bool ModuleCode::keep(KnownModule& module, const ipc::SourceCode& code) {
  const TimePoint now = steady_clock::now();
  const Accountant<KnownModule>::Member user(in_.accounts.sources, module.last_caller());
  for (;;) {
    const auto ruling = in_.accounts.sources.request(user, code.text.size());
    if (ruling.granted) break;
    KnownModule* const other = ruling.gives_way;
    if (other == nullptr || other->source_share->user() == user.user()) return false;
    release(*other);  // take() then answers its calls with an error
  }
  module.source = ModuleSource{std::string(code.file_name), std::string(ipc::as_text(code.text))};
  module.source_share.emplace(user, module);
  module.source_share->use(code.text.size(), now);
  return true;
}

std::optional<ModuleId> ModuleCode::take_in(ClientSession& client, std::uint64_t id,
                                            const ipc::SourceOutcome& outcome) {
  const TimePoint now = steady_clock::now();
  const bool is_known = !std::holds_alternative<ipc::SourceNotFound>(outcome);
  const auto asked = is_known ? loaders_.take(client, id) : loaders_.is_not_known(client, id, now);
  if (!asked) return std::nullopt;
  KnownModule& module = in_.modules.of(*asked);
  module.ask_share.reset();
  const auto* code = std::get_if<ipc::SourceCode>(&outcome);
  if (code != nullptr && keep(module, *code)) {
    in_.scheduler.source_ready(module.id, now, in_.decisions);
    return asked;
  }
  if (code != nullptr) {
    fail(module, overloaded("memory for code from loaders that waits for workers is short; try again later"));
  } else if (const auto* failed = std::get_if<ipc::SourceFailed>(&outcome)) {
    fail(module, load_failure(module.name, fmt::format("its loader says: {}", failed->reason)));
  } else {
    fail(module, make_error(ipc::ErrorCode::not_found,
                            fmt::format("there is no module {}: no file has it, and no loader knows it",
                                        to_string(module.name))));
  }
  return std::nullopt;
}

void ModuleCode::tick(TimePoint now) {
  for (ModuleId id : loaders_.take_overdue(now)) {
    KnownModule& module = in_.modules.of(id);
    module.ask_share.reset();
    ipc::Error error = load_failure(module.name, "its loader did not answer in time (--loader-timeout)");
    error.retryable = true;
    fail(module, error);
  }
  opened_.close_old(now);
}

std::optional<TimePoint> ModuleCode::next_wakeup() const {
  const auto of_loaders = loaders_.next_wakeup();
  const auto of_files = opened_.next_wakeup();
  if (!of_loaders || !of_files) return of_loaders ? of_loaders : of_files;
  return std::min(*of_loaders, *of_files);
}

// --- changed files -------------------------------------------------------------------------------------------------

// A changed version is worth a warning: what was tested may not be what runs.
bool ModuleCode::note_content(KnownModule& module, const ModuleSource& source) {
  const std::size_t content = content_mark(source);
  const bool is_another = module.content && *module.content != content;
  if (is_another) {
    spdlog::warn("{}: its content has changed; workers with the old code finish their calls and are replaced",
                 to_string(module.name));
  }
  module.content = content;
  return is_another;
}

void ModuleCode::files_changed(const std::set<std::string>& files) {
  const auto warm = in_.settings.warm();
  bool has_come = false;  // whether a module with min_warm has appeared
  for (const ModuleName& name : in_.sources.names_for(files)) {
    if (KnownModule* module = in_.modules.find(name)) {
      check_content(*module);
    } else {
      has_come = has_come || std::ranges::any_of(warm, [&](const auto& entry) { return entry.first == name; });
    }
  }
  if (has_come) add_warm();
}

void ModuleCode::all_files_may_have_changed() {
  for (const auto& [name, module] : in_.modules.all()) check_content(*module);
  add_warm();
}

// A change to a file before a client sent a call must be known before the call is handled. All calls of a turn were
// received before the turn began to end. So the event loop has usually run the watch's handler already, and no system
// call is needed; otherwise one look serves all calls of the turn.
bool ModuleCode::has_file_changed(const KnownModule& module) {
  if (watch_ == nullptr) return false;
  const bool is_told = watch_->awaits_events() && in_.turn.has_handled_what_was_before();
  const bool has_looked = std::exchange(looked_in_turn_, in_.turn.number()) == in_.turn.number();
  const bool is_news = is_told || has_looked ? watch_->has_news() : watch_->look();
  return is_news && watch_->take(in_.sources.watched_paths_of(module.name));
}

bool ModuleCode::check_before_call(KnownModule& module) {
  if (!has_file_changed(module) && !module.is_to_be_checked) return false;
  check_content(module);
  return true;
}

// Only a module that was loaded can have changed, and a file that was merely touched has not. A module that could not
// be read may have been repaired.
void ModuleCode::check_content(KnownModule& module) {
  module.opened.reset();
  if (!module.content && !module.last_failure) return;
  const auto source = in_.sources.read(module.name);
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
  in_.scheduler.source_changed(module.id, steady_clock::now(), in_.decisions);
}

}  // namespace holdfast::supervisor
