#include "supervisor/modules/modules.h"

#include <algorithm>
#include <functional>
#include <string_view>

#include "ipc/base/invariant.h"
#include "ipc/base/text.h"

namespace holdfast::supervisor {

KnownModule* Modules::find(const ModuleName& name) {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second.get();
}

KnownModule* Modules::find(ModuleId id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

KnownModule& Modules::of(ModuleId id) {
  const auto found = by_id_.find(id);
  expect(found != by_id_.end(), "a module is known");
  return *found->second;
}

const KnownModule& Modules::of(ModuleId id) const { return const_cast<Modules*>(this)->of(id); }

KnownModule& Modules::add(const ModuleName& name, KnownModule::Origin origin, const ModuleSettings& settings) {
  const auto [entry, is_new] = by_name_.emplace(name, std::make_unique<KnownModule>());
  expect(is_new, "a module that is added is not known");
  KnownModule& module = *entry->second;
  module.id = ModuleId{++last_id_};
  module.name = name;
  module.settings = settings;
  module.origin = origin;
  by_id_.emplace(module.id, &module);
  return module;
}

void Modules::forget(ModuleId id) {
  const auto found = by_id_.find(id);
  expect(found != by_id_.end(), "a module is known");
  const ModuleName name = found->second->name;
  by_id_.erase(found);
  by_name_.erase(name);
}

void KnownModule::note_caller(UserId user) {
  if (!callers.empty() && callers.front() == user) return;
  const auto known = std::find(callers.begin(), callers.end(), user);
  if (known != callers.end()) {
    std::rotate(callers.begin(), known, known + 1);
    return;
  }
  if (callers.size() >= kMostCallers) callers.pop_back();
  callers.insert(callers.begin(), user);
}

bool KnownModule::is_called_by(UserId user) const {
  return std::find(callers.begin(), callers.end(), user) != callers.end();
}

void remember_failure(KnownModule& module, const ipc::Error& error) {
  // There may be very many modules, and each chooses its own words.
  constexpr std::size_t kMostKept = 1024;
  ipc::Error& kept = module.last_failure.emplace(error);
  for (std::string* text : {&kept.message, &kept.stack, &kept.detail}) *text = ipc::clean_utf8(*text, kMostKept);
}

std::size_t content_mark(const ModuleSource& source) { return std::hash<std::string_view>{}(source.text); }

}  // namespace holdfast::supervisor
