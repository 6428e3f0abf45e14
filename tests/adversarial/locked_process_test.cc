// The properties of a locked worker, as the kernel shows them from outside (proc(5)).
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/skips.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNamespaces[] = {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"};

// If a process is not dumpable, the kernel shows its descriptors, namespaces, environment and root only to root.
bool can_look_inside() { return ::geteuid() == 0; }

void check_is_locked(pid_t worker, const Daemon& daemon, std::size_t sockets = 1) {
  CAPTURE(worker);
  CHECK(status_field(worker, "Seccomp") == "2");
  CHECK(status_field(worker, "Seccomp_filters") == "1");
  CHECK(status_field(worker, "NoNewPrivs") == "1");
  for (const std::string set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    CAPTURE(set);
    CHECK(status_field(worker, set) == "0000000000000000");
  }
  CHECK(status_field(worker, "PPid") == std::to_string(daemon.zygote()));
  CHECK(status_field(worker, "Threads") == "1");
  // Only root can drop the groups that it was started with.
  if (::geteuid() == 0) CHECK(status_field(worker, "Groups") == "");
  for (const std::string ids : {"Uid", "Gid"}) {
    CAPTURE(ids);
    CHECK_FALSE(contains("\t" + status_field(worker, ids) + "\t", "\t0\t"));
  }
  CHECK(limits_of(worker, "Max processes") == std::pair<std::string, std::string>("0", "0"));
  CHECK(limits_of(worker, "Max file size") == std::pair<std::string, std::string>("0", "0"));
  CHECK(limits_of(worker, "Max core file size") == std::pair<std::string, std::string>("0", "0"));
  CHECK(limits_of(worker, "Max locked memory") == std::pair<std::string, std::string>("0", "0"));
  CHECK(limits_of(worker, "Max open files").second == std::to_string(sockets));
  CHECK(limits_of(worker, "Max data size").second != "unlimited");
  if (!can_look_inside()) return;

  const auto descriptors = descriptors_of(worker);
  REQUIRE(descriptors.size() == sockets);
  for (const std::string& descriptor : descriptors) CHECK(descriptor.starts_with("socket:["));
  CHECK(read_file("/proc/" + std::to_string(worker) + "/environ") == "");
  const fs::path root = "/proc/" + std::to_string(worker) + "/root/";
  CHECK(fs::is_empty(root));
  CHECK((fs::status(root).permissions() & fs::perms(0222)) == fs::perms::none);
  CHECK(fs::is_empty("/proc/" + std::to_string(worker) + "/cwd/"));
  for (const std::string kind : kNamespaces) {
    CAPTURE(kind);
    CHECK(namespace_of(worker, kind) != "");
    CHECK(namespace_of(worker, kind) != namespace_of(daemon.pid(), kind));
    CHECK(namespace_of(worker, kind) == namespace_of(daemon.zygote(), kind));
  }
}

TEST_CASE("every worker is locked, those that hold a module and those on standby") {
  Daemon daemon({.modules = {{"one", "exports.ping = () => 1;"}, {"two", "exports.ping = () => 2;"}},
                 .flags = {"--standby", "2"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"one", "ping"})) == "1");
  CHECK(outcome(call(client, {"two", "ping"})) == "2");
  REQUIRE(workers_become(client, [](const auto& all) {
    return all.size() == 4 && std::all_of(all.begin(), all.end(), [](const auto& worker) { return worker.pid != 0; });
  }));
  // A worker is listed as soon as it is forked, and is locked a moment later.
  const auto all = daemon.workers();
  REQUIRE(all.size() == 4);
  for (pid_t worker : all) {
    REQUIRE(eventually([&] { return status_field(worker, "Seccomp") == "2"; }));
    check_is_locked(worker, daemon);
  }
  daemon.stop();
}

TEST_CASE("with direct lines a worker has a second socket, and is locked as ever") {
  Daemon daemon({.modules = {{"one", "exports.ping = () => 1;"}}, .flags = {"--direct-line", "--standby", "1"}});
  ipc::Client client = daemon.connect();
  REQUIRE(client.open_line({"one", "v1"}).has_value());
  CHECK(outcome(call(client, {"one", "ping"})) == "1");
  REQUIRE(eventually([&] { return daemon.workers().size() == 2; }));
  for (pid_t worker : daemon.workers()) {
    REQUIRE(eventually([&] { return status_field(worker, "Seccomp") == "2"; }));
    check_is_locked(worker, daemon, 2);
  }
  daemon.stop();
}

TEST_CASE("the zygote is pid 1 of its own namespace, has no privileges, and sees an empty root") {
  Daemon daemon({});
  const pid_t zygote = daemon.zygote();
  CHECK(status_field(zygote, "NSpid").ends_with("\t1"));
  CHECK(status_field(zygote, "NoNewPrivs") == "1");
  for (const std::string set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    CHECK(status_field(zygote, set) == "0000000000000000");
  }
  CHECK_FALSE(contains("\t" + status_field(zygote, "Uid") + "\t", "\t0\t"));
  if (can_look_inside()) {
    CHECK(fs::is_empty("/proc/" + std::to_string(zygote) + "/root/"));
    CHECK(read_file("/proc/" + std::to_string(zygote) + "/environ") == "");
  }
}

TEST_CASE("between forks the zygote holds its control socket, its signals and its own OOM score, the launcher nothing" *
          needs_root()) {
  Daemon daemon({.modules = {{"one", "exports.ping = () => 1;"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"one", "ping"})) == "1");
  CHECK(descriptors_of(daemon.launcher()).empty());
  CHECK(eventually([&] {
    const auto held = descriptors_of(daemon.zygote());
    const auto is = [](const char* kind) {
      return [kind](const std::string& target) { return target.starts_with(kind); };
    };
    return held.size() == 3 && std::count_if(held.begin(), held.end(), is("socket:[")) == 1 &&
           std::count_if(held.begin(), held.end(), is("anon_inode:[signalfd]")) == 1 &&
           std::ranges::any_of(held, [](const auto& target) { return target.ends_with("/oom_score_adj"); });
  }));
}

TEST_CASE("no two workers share a socket or a shared page, and none can write to the code that they share" *
          needs_root()) {
  Daemon daemon({.flags = {"--standby", "4"}});
  REQUIRE(eventually([&] { return daemon.workers().size() == 4; }));
  std::set<std::string> sockets;
  for (pid_t worker : daemon.workers()) {
    REQUIRE(eventually([&] { return descriptors_of(worker).size() == 1; }));
    sockets.insert(descriptors_of(worker).front());
    std::istringstream maps(read_file("/proc/" + std::to_string(worker) + "/maps"));
    std::size_t pages = 0;
    for (std::string line; std::getline(maps, line);) {
      if (line.find("memfd:") == std::string::npos) continue;
      CAPTURE(line);
      const bool is_code = line.find("memfd:holdfast-code") != std::string::npos;
      if (!is_code) ++pages;
      if (is_code) CHECK((line.find(" r-xp ") != std::string::npos || line.find(" r--p ") != std::string::npos));
    }
    CHECK(pages == 1);
  }
  CHECK(sockets.size() == 4);
}

}  // namespace
}  // namespace holdfast::test
