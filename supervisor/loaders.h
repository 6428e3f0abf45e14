// The clients that are asked for the code of modules which no file has: FaaStest's defineFunctionLoader. The one that
// registered first is asked; when it leaves or does not answer in time, the next. One that did not answer in time is
// asked after all others until it answers again. What they say is the owner's to judge.
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

  // Asks that are open at a time; whoever registers must not be the one place where all of a flood ends up.
  static constexpr std::size_t kMostOpen = 1024;

  // False if there is nobody to ask, or too much is asked already.
  bool ask(ModuleId module, const ModuleName& name, TimePoint now);

  // The module that `client` was asked for under this number, which may be any: it is answered with this.
  std::optional<ModuleId> take(const ClientSession& client, std::uint64_t request);

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
    std::vector<const ClientSession*> silent;  // loaders that were asked before
  };

  void ask(Loader& loader, ModuleId module, const ModuleName& name, TimePoint now,
           std::vector<const ClientSession*> silent);

  std::list<Loader> loaders_;
  std::map<std::uint64_t, Request> requests_;
  std::uint64_t last_request_ = 0;
};

}  // namespace holdfast::supervisor
