// Reads and writes the message with statistics.
#include <limits>
#include <string>

#include "ipc/wire.h"

namespace holdfast::ipc {
namespace {

tl::expected<ModuleStats, ProtocolViolation> read_module(wire::ModuleStats::Reader from) {
  if (const unsigned count = from.getErrors().size(); count > kErrorCodeCount) {
    return tl::unexpected(ProtocolViolation{"counts of " + std::to_string(count) + " error codes; there are only " +
                                            std::to_string(kErrorCodeCount)});
  }
  ModuleStats stats;
  for (auto error : from.getErrors()) {
    auto code = checked_enum<ErrorCode>(error.getCode(), kErrorCodeCount, "error code");
    if (!code) return tl::unexpected(code.error());
    stats.errors.push_back({*code, error.getCount()});
  }
  stats.module = view(from.getModule());
  stats.version = view(from.getVersion());
  stats.calls = from.getCalls();
  stats.results = from.getResults();
  stats.refused = from.getRefused();
  stats.retries = from.getRetries();
  stats.cold_starts = from.getColdStarts();
  stats.evictions = from.getEvictions();
  stats.drains = from.getDrains();
  stats.queued = from.getQueued();
  stats.calls_in_flight = from.getCallsInFlight();
  stats.instances = from.getInstances();
  read_amounts(from, stats);
  stats.held_off = read_duration(from.getHeldOffNanos());
  stats.held_off_reason = view(from.getHeldOffReason());
  return stats;
}

void write_module(wire::ModuleStats::Builder to, const ModuleStats& stats) {
  set_text(stats.module, [&](unsigned size) { return to.initModule(size); });
  set_text(stats.version, [&](unsigned size) { return to.initVersion(size); });
  to.setCalls(stats.calls);
  to.setResults(stats.results);
  auto errors = to.initErrors(static_cast<unsigned>(stats.errors.size()));
  for (unsigned i = 0; i < errors.size(); ++i) {
    errors[i].setCode(static_cast<wire::ErrorCode>(stats.errors[i].code));
    errors[i].setCount(stats.errors[i].count);
  }
  to.setRefused(stats.refused);
  to.setRetries(stats.retries);
  to.setColdStarts(stats.cold_starts);
  to.setEvictions(stats.evictions);
  to.setDrains(stats.drains);
  to.setQueued(stats.queued);
  to.setCallsInFlight(stats.calls_in_flight);
  to.setInstances(stats.instances);
  write_amounts(to, stats);
  to.setHeldOffNanos(as_nanos(stats.held_off));
  set_text(stats.held_off_reason, [&](unsigned size) { return to.initHeldOffReason(size); });
}

StatsTotals read_totals(wire::StatsTotals::Reader from) {
  return {.version = std::string(view(from.getVersion())),
          .uptime = read_duration(from.getUptimeNanos()),
          .clients = from.getClients(),
          .workers = from.getWorkers(),
          .max_workers = from.getMaxWorkers(),
          .standbys = from.getStandbys(),
          .standby_target = from.getStandbyTarget(),
          .queued = from.getQueued(),
          .calls_in_flight = from.getCallsInFlight(),
          .waiting_modules = from.getWaitingModules(),
          .modules = from.getModules(),
          .forks = from.getForks(),
          .memory_bytes = from.getMemoryBytes()};
}

void write_totals(wire::StatsTotals::Builder to, const StatsTotals& totals) {
  set_text(totals.version, [&](unsigned size) { return to.initVersion(size); });
  to.setUptimeNanos(as_nanos(totals.uptime));
  to.setClients(totals.clients);
  to.setWorkers(totals.workers);
  to.setMaxWorkers(totals.max_workers);
  to.setStandbys(totals.standbys);
  to.setStandbyTarget(totals.standby_target);
  to.setQueued(totals.queued);
  to.setCallsInFlight(totals.calls_in_flight);
  to.setWaitingModules(totals.waiting_modules);
  to.setModules(totals.modules);
  to.setForks(totals.forks);
  to.setMemoryBytes(totals.memory_bytes);
}

}  // namespace

tl::expected<Stats, ProtocolViolation> read_stats(wire::Stats::Reader from) {
  if (const unsigned count = from.getModules().size(); count > kMaxModulesListed) {
    return tl::unexpected(ProtocolViolation{"statistics of " + std::to_string(count) + " modules; at most " +
                                            std::to_string(kMaxModulesListed) + " are accepted"});
  }
  Stats stats;
  stats.id = from.getId();
  stats.totals = read_totals(from.getTotals());
  for (auto item : from.getModules()) {
    auto module = read_module(item);
    if (!module) return tl::unexpected(module.error());
    stats.modules.push_back(std::move(*module));
  }
  return stats;
}

void encode(OutputBuffer& out, const Stats& stats) {
  constexpr std::size_t kFixedWordsEach = 32;
  constexpr std::size_t kWordsForError = 2;
  constexpr std::size_t kTotalsWords = 16;
  std::size_t words = kTotalsWords + words_for(stats.totals.version.size());
  for (const ModuleStats& module : stats.modules) {
    words += kFixedWordsEach + words_for(module.module.size()) + words_for(module.version.size()) +
             words_for(module.held_off_reason.size()) + module.errors.size() * kWordsForError;
  }
  write_message<wire::ServerMessage>(out, words, [&](auto root) {
    auto to = root.initStats();
    to.setId(stats.id);
    write_totals(to.initTotals(), stats.totals);
    auto items = to.initModules(static_cast<unsigned>(stats.modules.size()));
    for (unsigned i = 0; i < items.size(); ++i) write_module(items[i], stats.modules[i]);
  });
}

}  // namespace holdfast::ipc
