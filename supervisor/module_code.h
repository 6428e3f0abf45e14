// Modules' code: how a module becomes known, where its code comes from, and what happens when that changes.
//
// A module's code comes from a file or from a loader, a client that registered for that. A file goes before a loader.
//   - The scheduler asks for code by FetchSource: fetch(). A file is only opened then, and read when there is a worker
//     for it: take(). A loader is asked for the code, which waits here for a worker, charged to the user who called the
//     module last. If memory for code that waits is short, it gives way to other users' code.
//   - A file that has changed is noticed before the next call of its module. If its content differs from what was
//     loaded last, the scheduler is told; the workers with the old code finish their calls.
//   - Names without a module behind them are not remembered, because callers could make up any number of them.
//
// Reports events to the scheduler and adds what that decides to `decisions`, but carries nothing out: the caller does,
// before it returns to the event loop. Calls that fail for want of code are answered through CallAnswers.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <tl/expected.hpp>

#include "ipc/client_messages.h"
#include "ipc/error.h"
#include "supervisor/call_answers.h"
#include "supervisor/client_permission.h"
#include "supervisor/client_session.h"
#include "supervisor/loaders.h"
#include "supervisor/modules/module_source.h"
#include "supervisor/modules/module_watch.h"
#include "supervisor/modules/modules.h"
#include "supervisor/modules/open_files.h"
#include "supervisor/net/client_accounts.h"
#include "supervisor/net/turn.h"
#include "supervisor/scheduler/scheduler.h"
#include "supervisor/settings/allowed_users.h"
#include "supervisor/settings/settings.h"
#include "supervisor/shares/log_budget.h"

namespace holdfast::supervisor {

// Not thread-safe. The modules that are given to it must be known to Modules.
class ModuleCode {
 public:
  // What it works with. All must outlive the object.
  struct Surroundings {
    const ModuleSources& sources;
    const Settings& settings;  // the current ones
    ClientAccounts& accounts;
    Turn& turn;
    Modules& modules;
    Scheduler& scheduler;
    Decisions& decisions;
    CallAnswers& answers;
  };

  // `loaders` may load modules; each has at most `loader_timeout` for each module.
  ModuleCode(const Surroundings& surroundings, const AllowedUsers& loaders, std::chrono::nanoseconds loader_timeout);

  // --- which modules are known

  // Adds a module that is not known. The error is for the caller: not_found; overloaded if there are too many modules;
  // unavailable, retryable, if the module's file cannot be looked for just now.
  tl::expected<KnownModule*, ipc::Error> add(const ModuleName& name);
  // Adds the modules that must have workers before they are called (min_warm) and are not known yet.
  void add_warm();
  // Forgets a module without any accepted call: callers could make up any number of names.
  void forget_if_unused(KnownModule& module);

  // --- code for workers

  // Sees to the code that the scheduler asked for by FetchSource. May forget the module.
  void fetch(KnownModule& module);
  // Takes out the code that fetch() has made ready, reading the module's file if it has one. The error is for callers;
  // if it is a shortage (is_shortage()), it says nothing about the module.
  tl::expected<ModuleSource, ipc::Error> take(KnownModule& module);
  // Notes what is loaded into a worker. Whether it differs from what was loaded last.
  bool note_content(KnownModule& module, const ModuleSource& source);
  // Drops a loader's code that no call waits for any more. To be called when a call of the module has ended.
  void release_unless_needed(KnownModule& module) {
    if (module.source) look_whether_needed(module);
  }

  // --- clients as loaders

  // Answers a client that wants to load modules; see ClientRequests::loader_registered().
  void register_loader(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds timeout);
  // Takes in a loader's answer; see ClientRequests::source_given(). Returns the module whose code is ready: when the
  // decisions are carried out, release_unless_needed() must be called for it.
  std::optional<ModuleId> take_in(ClientSession& client, std::uint64_t id, const ipc::SourceOutcome& outcome);
  void client_left(const ClientSession& client);

  // --- changed files

  // From now on check_before_call() asks `watch` whether files have changed. `watch` must outlive the last such call.
  void watch_files_by(ModuleWatch& watch) { watch_ = &watch; }
  // These files, of modules or not, have changed.
  void files_changed(const std::set<std::string>& files);
  // Any file may have changed.
  void all_files_may_have_changed();
  // To be called before a call of the module is handled: looks whether its file has just changed. True: the file was
  // read, and decisions may have been added, which are to be carried out before the call is handled.
  bool check_before_call(KnownModule& module);

  // --- time

  // Gives up on loaders that did not answer in time, and closes files that nobody reads. Call at or after
  // next_wakeup().
  void tick(std::chrono::steady_clock::time_point now);
  std::optional<std::chrono::steady_clock::time_point> next_wakeup() const;

 private:
  void forget_idle_modules();
  void ask_loader(KnownModule& module);
  static void release(KnownModule& module);
  void look_whether_needed(KnownModule& module);
  // Answers the calls that wait for the code. May forget the module.
  void fail(KnownModule& module, const ipc::Error& error);
  // False: memory for code that waits is short, and no user holds more of it than this one.
  bool keep(KnownModule& module, const ipc::SourceCode& code);
  bool has_file_changed(const KnownModule& module);
  void check_content(KnownModule& module);

  const Surroundings in_;
  OpenFiles opened_;
  ModuleWatch* watch_ = nullptr;
  // The turn in which the watch was last looked at before a call.
  std::optional<std::uint64_t> looked_in_turn_;
  ClientPermission permission_;
  const std::chrono::nanoseconds loader_timeout_;
  Loaders loaders_;
  LogBudget log_budget_;  // for log lines about modules that could not be loaded
  std::chrono::steady_clock::time_point forget_again_at_{};
};

}  // namespace holdfast::supervisor
