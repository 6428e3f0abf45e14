// The findings of `holdfast doctor` about a worker: a worker in order, then with one change at a time.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "tools/cli/doctor/findings.h"

namespace holdfast::cli {
namespace {

Examination in_order() {
  Examination all;
  for (const char* kind : {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"}) {
    all.self.namespaces[kind] = std::string(kind) + ":[1]";
    all.worker.namespaces[kind] = std::string(kind) + ":[2]";
  }
  all.worker.status = {{"NoNewPrivs", "1"},
                       {"Uid", "65534\t65534\t65534\t65534"},
                       {"Gid", "65534\t65534\t65534\t65534"},
                       {"Threads", "1"},
                       {"Seccomp", "2"},
                       {"SigIgn", "0000000000004a07"},
                       {"SigBlk", "0000000000000000"},
                       {"Speculation_Store_Bypass", "thread force mitigated"},
                       {"SpeculationIndirectBranch", "conditional force disabled"}};
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    all.worker.status[set] = "0000000000000000";
  }
  for (const char* name : {"Max file size", "Max processes", "Max core file size", "Max locked memory",
                           "Max msgqueue size", "Max pending signals"}) {
    all.worker.limits[name] = {"0", "0"};
  }
  for (const char* name : {"Max data size", "Max address space", "Max stack size", "Max cpu time"}) {
    all.worker.limits[name] = {"1000", "1000"};
  }
  all.worker.limits["Max open files"] = {"1", "1"};
  all.worker.descriptors = {"socket"};
  all.worker.mappings = {{"r-xp", "/usr/lib/libnode.so", true}, {"rw-p", "", false}};
  all.worker.root_is_empty = all.worker.root_is_read_only = true;
  all.worker.has_environment = all.worker.is_dumpable = all.worker.has_terminal = false;
  all.supervisor.status = {
      {"Seccomp", "2"}, {"NoNewPrivs", "1"}, {"CapPrm", "0000000000000000"}, {"Uid", "65534\t65534\t65534\t65534"}};
  all.script = ScriptView{.makes_code_from_strings = false, .shares_memory = false, .has_web_assembly = true};
  return all;
}

// The layers that have a finding in this state.
std::string layers(const Examination& examination, LayerState state) {
  std::string all;
  for (const Finding& finding : examine(examination)) {
    if (finding.state == state && all.find(finding.layer) == std::string::npos) all += finding.layer + " ";
  }
  return all;
}

TEST_CASE("nothing is missing or off or unavailable on a worker in order") {
  for (LayerState state : {LayerState::missing, LayerState::off, LayerState::unavailable}) {
    CHECK(layers(in_order(), state) == "");
  }
  CHECK(layers(in_order(), LayerState::active) ==
        "namespaces root privileges descriptors process limits speculation code seccomp supervisor v8 ");
}

TEST_CASE("each layer that is not in place is missing") {
  const std::pair<const char*, std::function<void(Examination&)>> changes[] = {
      {"namespaces ", [](auto& all) { all.worker.namespaces["net"] = all.self.namespaces["net"]; }},
      {"root ", [](auto& all) { all.worker.root_is_empty = false; }},
      {"root ", [](auto& all) { all.worker.root_is_read_only = false; }},
      {"privileges ", [](auto& all) { all.worker.status["NoNewPrivs"] = "0"; }},
      {"privileges ", [](auto& all) { all.worker.status["CapBnd"] = "0000000000000001"; }},
      {"privileges ", [](auto& all) { all.worker.status["Uid"] = "65534\t0\t65534\t65534"; }},
      {"privileges ", [](auto& all) { all.worker.is_dumpable = true; }},
      {"descriptors ",
       [](auto& all) {
         all.worker.descriptors = {"socket", "socket"};
       }},
      {"descriptors ", [](auto& all) { all.worker.descriptors = {"pipe"}; }},
      {"process ", [](auto& all) { all.worker.status["Threads"] = "2"; }},
      {"process ", [](auto& all) { all.worker.has_environment = true; }},
      {"process ", [](auto& all) { all.worker.has_terminal = true; }},
      {"process ", [](auto& all) { all.worker.status["SigIgn"] = "0000000000001000"; }},
      {"speculation ", [](auto& all) { all.worker.status["Speculation_Store_Bypass"] = "thread vulnerable"; }},
      {"limits ",
       [](auto& all) {
         all.worker.limits["Max data size"] = {"unlimited", "unlimited"};
       }},
      {"limits ",
       [](auto& all) {
         all.worker.limits["Max processes"] = {"0", "100"};
       }},
      {"code ",
       [](auto& all) {
         all.worker.mappings->push_back({"rwxp", "", false});
       }},
      {"seccomp ", [](auto& all) { all.worker.status["Seccomp"] = "0"; }},
      {"supervisor ", [](auto& all) { all.supervisor.status["Seccomp"] = "0"; }},
      {"supervisor ", [](auto& all) { all.supervisor.status["CapPrm"] = "000001ffffffffff"; }},
      {"supervisor ", [](auto& all) { all.supervisor.status["Uid"] = "0\t0\t0\t0"; }},
      {"v8 ", [](auto& all) { all.script->makes_code_from_strings = true; }},
      {"v8 ", [](auto& all) { all.script->shares_memory = true; }},
      {"v8 ", [](auto& all) { all.script.reset(); }},
  };
  for (const auto& [layer, change] : changes) {
    Examination examination = in_order();
    change(examination);
    CAPTURE(layer);
    CHECK(layers(examination, LayerState::missing) == layer);
  }
}

TEST_CASE("what the kernel does not show is unknown and not missing, and the verdict counts it") {
  const std::pair<const char*, std::function<void(Examination&)>> changes[] = {
      {"namespaces ", [](auto& all) { all.worker.namespaces.erase("pid"); }},
      {"root ", [](auto& all) { all.worker.root_is_empty.reset(); }},
      {"privileges ", [](auto& all) { all.worker.status.erase("CapBnd"); }},
      {"privileges ", [](auto& all) { all.worker.is_dumpable.reset(); }},
      {"privileges ",
       [](auto& all) {
         all.worker.is_dumpable.reset();
         all.worker.owner_is_ambiguous = true;
       }},
      {"descriptors ", [](auto& all) { all.worker.descriptors.reset(); }},
      {"process ", [](auto& all) { all.worker.has_environment.reset(); }},
      {"limits ", [](auto& all) { all.worker.limits.erase("Max cpu time"); }},
      {"code ", [](auto& all) { all.worker.mappings.reset(); }},
      {"supervisor ", [](auto& all) { all.supervisor.status.erase("Uid"); }},
  };
  for (const auto& [layer, change] : changes) {
    Examination examination = in_order();
    change(examination);
    CAPTURE(layer);
    CHECK(layers(examination, LayerState::unknown) == layer);
    CHECK(layers(examination, LayerState::missing) == "");
    const Verdict verdict = verdict_on(examine(examination), examination, {});
    CHECK(verdict.starts);
    CHECK(verdict.is_good);
    CHECK(verdict.text.find("1 of ") != std::string::npos);
  }
  Examination hidden = in_order();
  hidden.worker = hidden.supervisor = {};
  CHECK(layers(hidden, LayerState::missing) == "");
}

TEST_CASE("advice on rows that cannot be read fits the user who runs doctor") {
  Examination examination = in_order();
  examination.worker.root_is_empty.reset();
  const auto advice = [&] { return verdict_on(examine(examination), examination, {}).advice; };
  examination.self.status = {{"Uid", "0\t0\t0\t0"}, {"CapEff", "00000000a80425fb"}};
  CHECK(advice().find("CAP_SYS_PTRACE") != std::string::npos);
  CHECK(advice().find("as root") == std::string::npos);
  examination.self.status = {{"Uid", "0\t0\t0\t0"}, {"CapEff", "000001ffffffffff"}};
  CHECK(advice() == "");
  examination.self.status = {{"Uid", "1000\t1000\t1000\t1000"}, {"CapEff", "0000000000000000"}};
  CHECK(advice() == "");
  examination.worker.status.clear();
  CHECK(advice().find("/proc") != std::string::npos);
}

TEST_CASE("a layer without which holdfastd refused to start is missing as its message says") {
  Examination examination = in_order();
  CHECK(verdict_on(examine(examination), examination, {}).text ==
        "holdfastd starts here, with every layer of the sandbox in place");
  examination.refused = {{"namespaces", "unshare(all): Operation not permitted; ask for them"},
                         {"root", "no root: Operation not permitted"}};
  examination.worker.namespaces.clear();
  CHECK(layers(examination, LayerState::missing) == "namespaces root ");
  const Verdict refused = verdict_on(examine(examination), examination, {"root"});
  CHECK_FALSE(refused.starts);
  CHECK_FALSE(refused.is_good);
  CHECK(refused.text.starts_with("holdfastd does not start here: namespaces: unshare(all): Operation not permitted"));
  CHECK(refused.advice == "ask for them");
  const Verdict allowed = verdict_on(examine(examination), examination, {"root", "namespaces"});
  CHECK(allowed.starts);
  CHECK(allowed.is_good);
  CHECK(allowed.text.starts_with("holdfastd starts here, without: namespaces, root (--allow-missing)"));
}

TEST_CASE("the verdict reports a worker that is not in order even if holdfastd starts") {
  Examination examination = in_order();
  examination.worker.limits["Max processes"] = {"0", "100"};
  const Verdict verdict = verdict_on(examine(examination), examination, {});
  CHECK(verdict.starts);
  CHECK_FALSE(verdict.is_good);
  CHECK(verdict.text == "holdfastd starts here, but something is missing in: limits");
}

TEST_CASE("in the strict profile, code that was made while the worker ran is a layer that is missing") {
  Examination examination = in_order();
  examination.worker.mappings->push_back({"r-xp", "", false});
  CHECK(layers(examination, LayerState::missing) == "");
  examination.strict = true;
  examination.script->has_web_assembly = false;
  CHECK(layers(examination, LayerState::missing) == "code ");
}

TEST_CASE("what the host does not offer is unavailable, and what the operator turned off is off") {
  Examination examination = in_order();
  examination.worker.status["Speculation_Store_Bypass"] = "vulnerable";
  examination.worker.mappings->front().sealed = false;
  CHECK(layers(examination, LayerState::unavailable) == "speculation code ");
  CHECK(verdict_on(examine(examination), examination, {}).text ==
        "holdfastd starts here, with every layer of the sandbox that this host offers; not offered by this host: code, "
        "speculation");
  examination.speculation_is_free = true;
  CHECK(layers(examination, LayerState::off) == "speculation ");
  CHECK(layers(examination, LayerState::missing) == "");
}

TEST_CASE("what is missing comes with what to change on the host") {
  Examination examination = in_order();
  examination.worker.namespaces["user"] = examination.self.namespaces["user"];
  const auto findings = examine(examination);
  const auto missing = std::ranges::find(findings, LayerState::missing, &Finding::state);
  REQUIRE(missing != findings.end());
  CHECK(missing->advice.find("max_user_namespaces") != std::string::npos);
}

}  // namespace
}  // namespace holdfast::cli
