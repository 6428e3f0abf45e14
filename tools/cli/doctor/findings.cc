#include "tools/cli/doctor/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <set>
#include <string_view>
#include <system_error>

#include "ipc/base/process_signals.h"

namespace holdfast::cli {
namespace {

constexpr const char* kNamespaceAdvice =
    "let this user make user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), "
    "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces above 0; inside a container, "
    "its seccomp and AppArmor profiles must allow unshare, mount and pivot_root";
constexpr const char* kSeccompAdvice = "the kernel must be built with CONFIG_SECCOMP_FILTER";
constexpr const char* kLimitsAdvice =
    "start Holdfast with higher hard limits (ulimit -H, Limit* of the service manager)";

constexpr unsigned kCapSysPtrace = 19;  // capability.h

bool is_root(const ProcessView& view) { return view.field("Uid").starts_with("0\t"); }

bool holds(const ProcessView& view, unsigned capability) {
  const std::string set = view.field("CapEff");
  std::uint64_t bits = 0;
  const auto [end, error] = std::from_chars(set.data(), set.data() + set.size(), bits, 16);
  return error == std::errc{} && (bits >> capability & 1) != 0;
}

class Examiner {
 public:
  explicit Examiner(const Examination& examination) : examination_(examination), worker_(examination.worker) {}

  std::vector<Finding> findings() {
    for (const auto& [layer, message] : examination_.refused) {
      const std::size_t end = std::min(message.find("; "), message.size());
      findings_.push_back({layer, "set up", LayerState::missing, message.substr(0, end),
                           end == message.size() ? "" : message.substr(end + 2)});
    }
    namespaces();
    root();
    privileges();
    descriptors();
    process();
    limits();
    speculation();
    code();
    seccomp();
    supervisor();
    script();
    return std::move(findings_);
  }

 private:
  void add(const char* layer, std::string aspect, LayerState state, std::string seen, const char* advice = "") {
    findings_.push_back({layer, std::move(aspect), state, std::move(seen), state == LayerState::missing ? advice : ""});
  }
  void expect(const char* layer, std::string aspect, bool holds, std::string seen, const char* advice = "") {
    add(layer, std::move(aspect), holds ? LayerState::active : LayerState::missing, std::move(seen), advice);
  }
  bool was_refused(std::string_view layer) const {
    return std::ranges::find(examination_.refused, layer, &RefusedLayer::layer) != examination_.refused.end();
  }
  // Empty if unshare(2) was refused to holdfastd, whose own message then has better advice. In other cases holdfastd
  // did not get as far as unshare(2), so only the general advice is known.
  const char* namespace_advice() const {
    const auto found = std::ranges::find(examination_.refused, "namespaces", &RefusedLayer::layer);
    return found != examination_.refused.end() && found->message.starts_with("unshare") ? "" : kNamespaceAdvice;
  }
  // Why the kernel does not show something of `view`: a locked process is not dumpable, so only processes that could
  // trace it can read its folder in /proc (proc(5), ptrace(2)).
  std::string why_unreadable(const ProcessView& view) const {
    if (view.status.empty()) return "/proc does not show this process";
    if (holds(examination_.self, kCapSysPtrace)) return "the kernel does not show it";
    return is_root(examination_.self) ? "root without CAP_SYS_PTRACE" : "only root can see it";
  }
  void unknown(const char* layer, std::string aspect, const ProcessView& view) {
    add(layer, std::move(aspect), LayerState::unknown, "cannot be read: " + why_unreadable(view));
  }
  // An expectation about something that may not be readable.
  void expect_known(const char* layer, std::string aspect, std::optional<bool> holds, const char* seen_if,
                    const char* seen_else, const char* advice = "") {
    if (!holds) return unknown(layer, std::move(aspect), worker_);
    expect(layer, std::move(aspect), *holds, *holds ? seen_if : seen_else, advice);
  }
  void expect_field(const char* layer, const char* aspect, const ProcessView& view, const char* field,
                    const char* wanted, const char* advice = "") {
    if (view.field(field).empty()) return unknown(layer, aspect, view);
    expect(layer, aspect, view.field(field) == wanted, fmt::format("{} {}", field, view.field(field)), advice);
  }
  void expect_no_root(const char* layer, const ProcessView& view, const char* ids) {
    const std::string numbers = view.field(ids);
    if (numbers.empty()) return unknown(layer, "not root", view);
    expect(layer, "not root", ("\t" + numbers + "\t").find("\t0\t") == std::string::npos,
           fmt::format("{} {}", ids, numbers.substr(0, numbers.find('\t'))));
  }

  void namespaces() {
    for (const auto& [kind, own] : examination_.self.namespaces) {
      const auto found = worker_.namespaces.find(kind);
      if (found == worker_.namespaces.end()) {
        unknown("namespaces", kind, worker_);
      } else {
        expect("namespaces", kind, found->second != own, found->second, namespace_advice());
      }
    }
  }

  void root() {
    expect_known("root", "empty", worker_.root_is_empty, "no entries", "the host's files", namespace_advice());
    expect_known("root", "read-only", worker_.root_is_read_only, "read-only", "writable", namespace_advice());
  }

  void privileges() {
    expect_field("privileges", "no new privileges", worker_, "NoNewPrivs", "1");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
      // Without its own user namespace a worker cannot empty the bounding set. It does not matter: the set limits
      // what execve(2) can grant, and with no_new_privs execve(2) grants nothing.
      if (set == std::string_view("CapBnd") && was_refused("namespaces") && worker_.field("NoNewPrivs") == "1") {
        add("privileges", "no capabilities", LayerState::unavailable,
            fmt::format("CapBnd {}, without effect under no_new_privs", worker_.field(set)));
        continue;
      }
      expect_field("privileges", "no capabilities", worker_, set, "0000000000000000");
    }
    for (const char* ids : {"Uid", "Gid"}) expect_no_root("privileges", worker_, ids);
    if (worker_.owner_is_ambiguous) {
      return add("privileges", "not dumpable", LayerState::unknown,
                 "cannot be read: root has no id here, so its files look like this user's");
    }
    expect_known("privileges", "not dumpable",
                 worker_.is_dumpable ? std::optional(!*worker_.is_dumpable) : std::nullopt,
                 "its files in /proc belong to root", "its files in /proc belong to its own user");
  }

  void descriptors() {
    const auto& held = worker_.descriptors;
    const bool one_socket = held && held->size() == 1 && held->front() == "socket";
    if (!held) return unknown("descriptors", "one socket", worker_);
    expect("descriptors", "one socket", one_socket, fmt::format("{} open", held->size()));
  }

  void process() {
    expect_field("process", "one thread", worker_, "Threads", "1");
    std::uint64_t ignored = 0;
    for (const int signal : ipc::kSupervisorsSignals) ignored |= std::uint64_t{1} << (signal - 1);
    expect_field("process", "only the supervisor's signals ignored", worker_, "SigIgn",
                 fmt::format("{:016x}", ignored).c_str());
    expect_field("process", "no signal blocked", worker_, "SigBlk", "0000000000000000");
    expect_known("process", "no terminal", worker_.has_terminal ? std::optional(!*worker_.has_terminal) : std::nullopt,
                 "none", "one");
    expect_known("process", "no environment",
                 worker_.has_environment ? std::optional(!*worker_.has_environment) : std::nullopt, "empty",
                 "not empty");
  }

  void limits() {
    const auto limit = [this](const char* name, auto holds) {
      const auto found = worker_.limits.find(name);
      if (found == worker_.limits.end()) return unknown("limits", name + 4, worker_);
      const std::string hard = found->second.second;
      const bool both = found->second.first == hard;
      expect("limits", name + 4, both && holds(hard), hard, kLimitsAdvice);
    };
    const auto zero = [](const std::string& hard) { return hard == "0"; };
    const auto bounded = [](const std::string& hard) { return hard != "unlimited"; };
    for (const char* name : {"Max file size", "Max processes", "Max core file size", "Max locked memory",
                             "Max msgqueue size", "Max pending signals"}) {
      limit(name, zero);
    }
    for (const char* name : {"Max data size", "Max address space", "Max stack size", "Max cpu time"})
      limit(name, bounded);
    limit("Max open files", [](const std::string& hard) { return hard == "1"; });
  }

  void speculation() {
    const auto state = [this](const std::string& shown) {
      if (shown.find("mitigated") != std::string::npos || shown.find("disabled") != std::string::npos ||
          shown.find("not ") != std::string::npos) {
        return LayerState::active;
      }
      if (examination_.speculation_is_free) return LayerState::off;
      // If the kernel lets a process have the mitigation, the worker must have it.
      const bool is_offered = shown.starts_with("thread") || shown.starts_with("conditional");
      return is_offered ? LayerState::missing : LayerState::unavailable;
    };
    for (const auto& [aspect, field] : {std::pair{"past stores", "Speculation_Store_Bypass"},
                                        std::pair{"by branches", "SpeculationIndirectBranch"}}) {
      const std::string shown = worker_.field(field);
      add("speculation", aspect, shown.empty() ? LayerState::unavailable : state(shown),
          shown.empty() ? "the kernel does not report it" : shown);
    }
  }

  // The code of the program and its libraries, which lies in files; V8's compiled code is in anonymous pages.
  void code() {
    if (!worker_.mappings) return unknown("code", "sealed and never writable", worker_);
    const auto count = [this](const std::function<bool(const Mapping&)>& filter) {
      return std::count_if(worker_.mappings->begin(), worker_.mappings->end(), filter);
    };
    const auto is_executable = [](const Mapping& mapping) { return mapping.permissions[2] == 'x'; };
    const auto of_file = [&](const Mapping& mapping) {
      return is_executable(mapping) && mapping.path.starts_with('/');
    };
    const auto files = count(of_file);
    const auto sealed = count([&](const Mapping& mapping) { return of_file(mapping) && mapping.sealed; });
    add("code", "sealed", sealed == files ? LayerState::active : LayerState::unavailable,
        sealed == files ? fmt::format("{} of {} mappings", sealed, files)
                        : "no mseal(2): needs Linux 6.10, and a container that allows it");
    const auto both =
        count([&](const Mapping& mapping) { return is_executable(mapping) && mapping.permissions[1] == 'w'; });
    expect("code", "never writable", both == 0, fmt::format("mappings both writable and executable: {}", both));
    if (!examination_.strict) return;
    const auto anonymous =
        count([&](const Mapping& mapping) { return is_executable(mapping) && mapping.path.empty(); });
    expect("code", "none made", anonymous == 0, fmt::format("executable mappings without a file: {}", anonymous));
  }

  void seccomp() { expect_field("seccomp", "filter", worker_, "Seccomp", "2", kSeccompAdvice); }

  void supervisor() {
    const ProcessView& view = examination_.supervisor;
    expect_field("supervisor", "filter", view, "Seccomp", "2", kSeccompAdvice);
    expect_field("supervisor", "no new privileges", view, "NoNewPrivs", "1");
    expect_field("supervisor", "no capabilities", view, "CapPrm", "0000000000000000");
    expect_no_root("supervisor", view, "Uid");
  }

  void script() {
    const auto& found = examination_.script;
    if (!found) return add("v8", "answers", LayerState::missing, "the worker did not answer a call");
    expect("v8", "no code from strings", !found->makes_code_from_strings, "eval and new Function");
    expect("v8", "no shared memory", !found->shares_memory, "SharedArrayBuffer");
    if (examination_.strict) expect("v8", "no WebAssembly", !found->has_web_assembly, "WebAssembly");
  }

  const Examination& examination_;
  const ProcessView& worker_;
  std::vector<Finding> findings_;
};

std::string listed(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text.append(text.empty() ? "" : ", ").append(name);
  return text;
}

// What a user who could not read everything can do about it.
std::string reading_advice(const Examination& examination) {
  if (examination.worker.status.empty()) {
    return "to read every row, mount /proc for this pid namespace and without hidepid";
  }
  if (!is_root(examination.self) || holds(examination.self, kCapSysPtrace)) return {};
  return "to read every row, grant this root CAP_SYS_PTRACE, or run holdfast doctor as another user";
}

}  // namespace

Verdict verdict_on(const std::vector<Finding>& findings, const Examination& examination,
                   const std::vector<std::string>& allowed) {
  const auto may_be_missing = [&](const std::string& layer) {
    return std::find(allowed.begin(), allowed.end(), layer) != allowed.end();
  };
  std::set<std::string> missing, done_without, unavailable;
  std::size_t unknown = 0;
  for (const Finding& finding : findings) {
    if (finding.state == LayerState::unknown) ++unknown;
    if (finding.state == LayerState::unavailable) unavailable.insert(finding.layer);
    if (finding.state == LayerState::missing) {
      (may_be_missing(finding.layer) ? done_without : missing).insert(finding.layer);
    }
  }
  const auto& refused = examination.refused;
  const auto first = std::ranges::find_if(refused, [&](const auto& one) { return !may_be_missing(one.layer); });
  Verdict verdict{.starts = first == refused.end(), .is_good = missing.empty(), .text = {}, .advice = {}};
  if (!verdict.starts) {
    const std::size_t end = std::min(first->message.find("; "), first->message.size());
    verdict.text = fmt::format("holdfastd does not start here: {}: {}", first->layer, first->message.substr(0, end));
    if (missing.size() > 1) verdict.text += fmt::format("; missing: {}", listed(missing));
    if (end < first->message.size()) verdict.advice = first->message.substr(end + 2);
    return verdict;
  }
  if (!missing.empty()) {
    verdict.text = fmt::format("holdfastd starts here, but something is missing in: {}", listed(missing));
  } else if (!done_without.empty()) {
    verdict.text = fmt::format("holdfastd starts here, without: {} (--allow-missing)", listed(done_without));
  } else {
    verdict.text = unavailable.empty() ? "holdfastd starts here, with every layer of the sandbox in place"
                                       : "holdfastd starts here, with every layer of the sandbox that this host offers";
  }
  if (!unavailable.empty()) verdict.text += fmt::format("; not offered by this host: {}", listed(unavailable));
  if (unknown > 0) {
    verdict.text += fmt::format("; {} of {} rows cannot be read by this user", unknown, findings.size());
    verdict.advice = reading_advice(examination);
  }
  return verdict;
}

std::vector<Finding> examine(const Examination& examination) { return Examiner(examination).findings(); }

const char* to_string(LayerState state) {
  switch (state) {
    case LayerState::active:
      return "active";
    case LayerState::missing:
      return "missing";
    case LayerState::off:
      return "off";
    case LayerState::unavailable:
      return "unavailable";
    case LayerState::unknown:
      return "unknown";
  }
  return "unknown";
}

}  // namespace holdfast::cli
