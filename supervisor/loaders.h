// The clients that are asked for the code of modules that are in no file (FaaStest's defineFunctionLoader). The client
// that registered first is asked first; the next one is asked when that client leaves, does not know the module or does
// not answer in time. A client that did not answer in time is asked after all others until they fail to answer, too.
// The owner judges the answers and bounds how many modules are asked for at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "supervisor/client_session.h"
#include "supervisor/modules/module_source.h"
#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

class Loaders {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // Registers a loader that has `timeout` to answer each request; if it is registered already, only changes its
  // timeout. `client` must live until remove(). Returns whether it is new.
  bool add(ClientSession& client, Duration timeout);

  // To be called when the client leaves, loader or not. Returns the modules that it was asked for and has not answered;
  // the caller asks again for each, or gives it up.
  std::vector<ModuleId> remove(const ClientSession& client);

  bool empty() const { return loaders_.empty(); }

  // Asks the first loader for a module. There must be a loader.
  void ask(ModuleId module, const ModuleName& name, TimePoint now);

  // Stops waiting for a module that was asked for.
  void give_up(ModuleId module);

  // Takes the answer of `client` to request number `request`, which may be any number. Returns the module that it was
  // asked for; nullopt if it was not asked, or is not waited for any longer.
  std::optional<ModuleId> take(const ClientSession& client, std::uint64_t request);

  // To be called when `client` answers `request`, which may be any number, that it does not know the module. Asks the
  // next loader that was not asked yet. Returns the module if there is none; nullopt if another was asked, or if
  // `client` was not asked.
  std::optional<ModuleId> is_not_known(const ClientSession& client, std::uint64_t request, TimePoint now);

  // Asks the next loader for each module whose loader has not answered in time. Returns the modules for which every
  // loader was asked; these are not waited for any longer.
  std::vector<ModuleId> take_overdue(TimePoint now);
  std::optional<TimePoint> next_wakeup() const;

 private:
  struct Loader {
    ClientSession* client;
    Duration timeout;
  };
  struct Request {
    ClientSession* client;
    ModuleId module;
    ModuleName name;
    TimePoint deadline;
    std::vector<const ClientSession*> asked;  // loaders asked before this one
  };

  void ask(Loader& loader, ModuleId module, const ModuleName& name, TimePoint now,
           std::vector<const ClientSession*> asked);
  // False: every loader was asked already.
  bool ask_next(Request request, TimePoint now);

  std::list<Loader> loaders_;
  std::map<std::uint64_t, Request> requests_;
  std::uint64_t last_request_ = 0;
};

}  // namespace holdfast::supervisor
