#include "tools/cli/doctor/findings.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string_view>

#include <fmt/format.h>

#include "ipc/process_signals.h"

namespace holdfast::cli {
namespace {

constexpr const char* kNamespaceAdvice =
    "let this user make user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), "
    "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces above 0; inside a container, "
    "its "
    "seccomp and AppArmor profiles must allow unshare, mount and pivot_root";
constexpr const char* kSeccompAdvice = "the kernel must be built with CONFIG_SECCOMP_FILTER";
constexpr const char* kLimitsAdvice =
    "start Holdfast with higher hard limits (ulimit -H, Limit* of the service manager)";
constexpr const char* kNotReadable =
    "the kernel does not show it to this user; run as root, or as the one who runs holdfastd";

class Examiner {
 public:
  explicit Examiner(const Examination& examination) : examination_(examination), worker_(examination.worker) {}

  std::vector<Finding> findings() {
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
  // For what may not be readable.
  void expect_known(const char* layer, std::string aspect, std::optional<bool> holds, const char* seen_if,
                    const char* seen_else, const char* advice = "") {
    if (!holds) return add(layer, std::move(aspect), LayerState::missing, "cannot be read", kNotReadable);
    expect(layer, std::move(aspect), *holds, *holds ? seen_if : seen_else, advice);
  }
  void expect_field(const char* layer, const char* aspect, const ProcessView& view, const char* field,
                    const char* wanted, const char* advice = "") {
    expect(layer, aspect, view.field(field) == wanted, fmt::format("{} {}", field, view.field(field)), advice);
  }

  void namespaces() {
    for (const auto& [kind, own] : examination_.self.namespaces) {
      const auto found = worker_.namespaces.find(kind);
      if (found == worker_.namespaces.end()) {
        add("namespaces", kind, LayerState::missing, "cannot be read", kNotReadable);
      } else {
        expect("namespaces", kind, found->second != own, found->second, kNamespaceAdvice);
      }
    }
  }

  void root() {
    expect_known("root", "empty", worker_.root_is_empty, "no entries", "the host's files", kNamespaceAdvice);
    expect_known("root", "read-only", worker_.root_is_read_only, "read-only", "writable", kNamespaceAdvice);
  }

  void privileges() {
    expect_field("privileges", "no new privileges", worker_, "NoNewPrivs", "1");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
      expect_field("privileges", "no capabilities", worker_, set, "0000000000000000");
    }
    for (const char* ids : {"Uid", "Gid"}) {
      const std::string numbers = worker_.field(ids);
      expect("privileges", "not root", ("\t" + numbers + "\t").find("\t0\t") == std::string::npos && !numbers.empty(),
             fmt::format("{} {}", ids, numbers.substr(0, numbers.find('\t'))));
    }
    expect_known("privileges", "not dumpable",
                 worker_.is_dumpable ? std::optional(!*worker_.is_dumpable) : std::nullopt, "its /proc is root's",
                 "its /proc is its own");
  }

  void descriptors() {
    const auto& held = worker_.descriptors;
    const bool one_socket = held && held->size() == 1 && held->front() == "socket";
    if (!held) return add("descriptors", "one socket", LayerState::missing, "cannot be read", kNotReadable);
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
      const std::string hard = found == worker_.limits.end() ? "unknown" : found->second.second;
      const bool both = found != worker_.limits.end() && found->second.first == hard;
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
      // What the processor would let a process have, it is to have.
      const bool is_offered = shown.starts_with("thread") || shown.starts_with("conditional");
      return is_offered ? LayerState::missing : LayerState::unavailable;
    };
    for (const auto& [aspect, field] : {std::pair{"past stores", "Speculation_Store_Bypass"},
                                        std::pair{"by branches", "SpeculationIndirectBranch"}}) {
      const std::string shown = worker_.field(field);
      add("speculation", aspect, shown.empty() ? LayerState::unavailable : state(shown),
          shown.empty() ? "the kernel does not tell" : shown);
    }
  }

  // The program's and its libraries' code. Anonymous pages hold what V8 compiled.
  void code() {
    if (!worker_.mappings) return add("code", "sealed", LayerState::missing, "cannot be read", kNotReadable);
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
                        : "no mseal(2): it takes Linux 6.10, and a container that lets it pass");
    const auto both =
        count([&](const Mapping& mapping) { return is_executable(mapping) && mapping.permissions[1] == 'w'; });
    expect("code", "never writable", both == 0, fmt::format("{} writable and executable mappings", both));
    if (!examination_.strict) return;
    const auto anonymous =
        count([&](const Mapping& mapping) { return is_executable(mapping) && mapping.path.empty(); });
    expect("code", "none made", anonymous == 0, fmt::format("{} executable mappings without a file", anonymous));
  }

  void seccomp() { expect_field("seccomp", "filter", worker_, "Seccomp", "2", kSeccompAdvice); }

  void supervisor() {
    const ProcessView& view = examination_.supervisor;
    expect_field("supervisor", "filter", view, "Seccomp", "2", kSeccompAdvice);
    expect_field("supervisor", "no new privileges", view, "NoNewPrivs", "1");
    expect_field("supervisor", "no capabilities", view, "CapPrm", "0000000000000000");
    const std::string numbers = view.field("Uid");
    expect("supervisor", "not root", ("\t" + numbers + "\t").find("\t0\t") == std::string::npos && !numbers.empty(),
           "Uid " + numbers.substr(0, numbers.find('\t')));
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

}  // namespace

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
  }
  return "unknown";
}

}  // namespace holdfast::cli
