// The clients that are asked for the code of modules which no file has: FaaStest's defineFunctionLoader. The one that
// registered first is asked; when it leaves, does not know the module or does not answer in time, the next. One that
// did not answer in time is asked after all others until others are silent, too. What they say is the owner's to judge;
// how much is asked at a time is the owner's to bound.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "supervisor/client_session.h"
#include "supervisor/ids.h"
#include "supervisor/module_source.h"

namespace holdfast::supervisor {

class Loaders {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // `client` must live until remove(). It has `timeout` to answer; one that registers again changes that. Whether it is
  // new.
  bool add(ClientSession& client, Duration timeout);

  // The client left. Returns the modules that it was asked for and has not answered; ask again, or give up.
  std::vector<ModuleId> remove(const ClientSession& client);

  bool empty() const { return loaders_.empty(); }

  // There must be one to ask.
  void ask(ModuleId module, const ModuleName& name, TimePoint now);

  // Nobody waits for the module any longer, which was asked for.
  void give_up(ModuleId module);

  // The module that `client` was asked for under this number, which may be any: it is answered with this.
  std::optional<ModuleId> take(const ClientSession& client, std::uint64_t request);

  // `client`, which was asked under this number, does not know the module. Asks the next one that was not asked;
  // returns the module if there is none.
  std::optional<ModuleId> is_not_known(const ClientSession& client, std::uint64_t request, TimePoint now);

  // Asks the next loader for each module whose loader has had its time. Returns the modules for which there is none
  // that was not asked; they are not waited for any longer.
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
    std::vector<const ClientSession*> asked;  // before this one
  };

  void ask(Loader& loader, ModuleId module, const ModuleName& name, TimePoint now,
           std::vector<const ClientSession*> asked);
  // False: there is none that was not asked.
  bool ask_next(Request request, TimePoint now);

  std::list<Loader> loaders_;
  std::map<std::uint64_t, Request> requests_;
  std::uint64_t last_request_ = 0;
};

}  // namespace holdfast::supervisor
