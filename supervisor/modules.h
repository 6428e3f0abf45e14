// The modules that were asked for: their names and numbers, what the operator set for them, and what they have used.
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
#include "supervisor/accountant.h"
#include "supervisor/ids.h"
#include "supervisor/log_budget.h"
#include "supervisor/module_settings.h"
#include "supervisor/module_source.h"

namespace holdfast::supervisor {

// What the calls of a module came to and took, since the supervisor knows the module.
struct ModuleCounts {
  std::uint64_t calls = 0;  // that were taken on
  std::uint64_t results = 0;
  std::array<std::uint64_t, ipc::kErrorCodeCount> errors{};  // by code; refused calls are not among them
  std::uint64_t refused = 0;
  std::uint64_t retries = 0;  // calls that were given to another worker after theirs was lost
  std::uint64_t cold_starts = 0;
  std::uint64_t evictions = 0;
  std::uint64_t drains = 0;
  ipc::Usage usage;  // sums, and the highest peak; cpu is that of its workers, whether they had calls or not
};

struct KnownModule {
  ModuleId id{};
  ModuleName name;
  ModuleSettings settings;
  enum class Origin { directory, loader } origin = Origin::directory;
  // From a loader, until it is sent to a worker, or has to give way to others.
  std::optional<ModuleSource> source;
  std::optional<Accountant<KnownModule>::Account> source_share;
  // While a loader is asked for it.
  std::optional<Accountant<KnownModule>::Account> ask_share;
  // Its file, where that was opened ahead of time.
  std::weak_ptr<ModuleFile> opened;
  // Tells whether a source is the one that was loaded last; nothing: none was.
  std::optional<std::size_t> content;
  // Its file may have changed, and could not be read for a reason that says nothing of it.
  bool is_to_be_checked = false;
  // What its last failure was, for callers that are refused while it is held off.
  std::optional<ipc::Error> last_failure;
  ModuleCounts counts;
  // Users who have called it, the last one in front: whom its statistics are shown to. Of more than kMostCallers those
  // are forgotten who have not called it for the longest.
  static constexpr std::size_t kMostCallers = 64;
  std::vector<UserId> callers;
  void note_caller(UserId user);
  bool is_called_by(UserId user) const;
  UserId last_caller() const { return callers.empty() ? kUnknownUser : callers.front(); }
  LogBudget log_budget;                // a module that crashes has no more than one that lives
  bool dropped_is_to_be_told = false;  // is among those of which the supervisor will tell so
};

class Modules {
 public:
  // More are not remembered: whoever lets clients name modules freely (a loader) must not be filled up by them.
  static constexpr std::size_t kMost = 100'000;

  // Null if it is not known. Pointers are good until forget().
  KnownModule* find(const ModuleName& name);
  KnownModule* find(ModuleId id);
  KnownModule& of(ModuleId id);
  const KnownModule& of(ModuleId id) const;

  // A module that is not known yet.
  KnownModule& add(const ModuleName& name, KnownModule::Origin origin, const ModuleSettings& settings);
  void forget(ModuleId id);

  std::size_t size() const { return by_name_.size(); }
  // By name.
  const std::map<ModuleName, std::unique_ptr<KnownModule>>& all() const { return by_name_; }

 private:
  std::map<ModuleName, std::unique_ptr<KnownModule>> by_name_;
  std::unordered_map<ModuleId, KnownModule*> by_id_;
  std::uint64_t last_id_ = 0;
};

// Keeps the error as the module's last failure, cut to what callers need to read of it.
void remember_failure(KnownModule& module, const ipc::Error& error);

// For KnownModule::content.
std::size_t content_mark(const ModuleSource& source);

}  // namespace holdfast::supervisor
