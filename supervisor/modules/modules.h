// The modules that clients have asked for: their names and numbers, their settings, and what they have used.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ipc/client_messages.h"
#include "ipc/error.h"
#include "supervisor/modules/module_source.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/scheduler/module_settings.h"
#include "supervisor/shares/accountant.h"
#include "supervisor/shares/log_budget.h"

namespace holdfast::supervisor {

// Results of a module's calls and what they used, since the supervisor knows the module.
struct ModuleCounts {
  std::uint64_t calls = 0;  // accepted
  std::uint64_t results = 0;
  std::array<std::uint64_t, ipc::kErrorCodeCount> errors{};  // by code, without refused calls
  std::uint64_t refused = 0;
  std::uint64_t retries = 0;  // calls that were given to another worker after theirs was lost
  std::uint64_t cold_starts = 0;
  std::uint64_t evictions = 0;
  std::uint64_t drains = 0;
  ipc::Usage usage;  // sums, but for peak memory the maximum; cpu is that of its workers, whether or not they had calls
};

struct KnownModule {
  ModuleId id{};
  ModuleName name;
  ModuleSettings settings;
  enum class Origin { directory, loader } origin = Origin::directory;
  // Code from a loader, until it is sent to a worker or gives way to other modules' code.
  std::optional<ModuleSource> source;
  std::optional<Accountant<KnownModule>::Account> source_share;
  // Set while a loader is asked for the module.
  std::optional<Accountant<KnownModule>::Account> ask_share;
  // The module's file, if it was opened ahead of time.
  std::weak_ptr<ModuleFile> opened;
  // content_mark() of the source that was loaded last; nullopt: none was loaded.
  std::optional<std::size_t> content;
  // The file may have changed, and could not be read for a reason that says nothing about it.
  bool is_to_be_checked = false;
  // The last failure, for callers that are refused while the module is held off.
  std::optional<ipc::Error> last_failure;
  ModuleCounts counts;
  // The last kMostCallers users that called the module, the latest one in front. They may see the module's statistics.
  static constexpr std::size_t kMostCallers = 64;
  std::vector<UserId> callers;
  void note_caller(UserId user);
  bool is_called_by(UserId user) const;
  UserId last_caller() const { return callers.empty() ? kUnknownUser : callers.front(); }
  LogBudget log_budget;                // kept across workers, so a crash gives no new budget
  bool dropped_is_to_be_told = false;  // some log lines were dropped, and ModuleLogs will report that
};

class Modules {
 public:
  // The most modules that are remembered: with a loader, clients can make up any number of names.
  static constexpr std::size_t kMost = 100'000;

  // find() returns null if the module is not known; of() requires that it is. Pointers and references are valid until
  // forget().
  KnownModule* find(const ModuleName& name);
  KnownModule* find(ModuleId id);
  KnownModule& of(ModuleId id);
  const KnownModule& of(ModuleId id) const;

  // Adds a module; it must not be known yet.
  KnownModule& add(const ModuleName& name, KnownModule::Origin origin, const ModuleSettings& settings);
  void forget(ModuleId id);

  std::size_t size() const { return by_name_.size(); }
  // In the order of their names.
  const std::map<ModuleName, std::unique_ptr<KnownModule>>& all() const { return by_name_; }

 private:
  std::map<ModuleName, std::unique_ptr<KnownModule>> by_name_;
  std::unordered_map<ModuleId, KnownModule*> by_id_;
  std::uint64_t last_id_ = 0;
};

// Keeps the error as the module's last failure; its texts are cut to 1 KiB each.
void remember_failure(KnownModule& module, const ipc::Error& error);

// A hash of the source's text, for KnownModule::content.
std::size_t content_mark(const ModuleSource& source);

}  // namespace holdfast::supervisor
