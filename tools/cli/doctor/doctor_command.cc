#include "tools/cli/doctor/doctor_command.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/cli/doctor/engine_features.h"
#include "tools/cli/doctor/findings.h"
#include "tools/cli/json_text.h"
#include "tools/cli/private_supervisor.h"
#include "tools/cli/standard_streams.h"
#include "tools/cli/table.h"

namespace holdfast::cli {
namespace {

constexpr std::string_view kModule = R"js('use strict';
exports.look = () => {
  let evaluates = true;
  try { evaluates = (0, eval)('1') === 1; } catch { evaluates = false; }
  return { evaluates, shares: typeof SharedArrayBuffer !== 'undefined', wasm: typeof WebAssembly !== 'undefined' };
};
)js";

// A module's file for as long as the object lives.
class ModuleFile {
 public:
  ModuleFile() {
    const int fd = ::mkstemps(path_.data(), 3);
    if (fd < 0) return;
    const std::string code = std::string(kModule) + std::string(kEngineFeaturesCode);
    written_ = ::write(fd, code.data(), code.size()) == static_cast<ssize_t>(code.size());
    ::close(fd);
  }
  ~ModuleFile() { ::unlink(path_.c_str()); }
  ModuleFile(const ModuleFile&) = delete;
  ModuleFile& operator=(const ModuleFile&) = delete;
  bool written() const { return written_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/holdfast-doctor-XXXXXX.js";
  bool written_ = false;
};

std::vector<std::string> supervisor_arguments(const DoctorOptions& options, const ModuleFile& module) {
  std::vector<std::string> arguments = {"--module",      "doctor@1=" + module.path(),
                                        "--profile",     options.profile,
                                        "--isolation",   options.isolation,
                                        "--speculation", options.speculation,
                                        "--max-workers", "1",
                                        "--standby",     "0",
                                        "--log-level",   "off"};
  // Whatever is missing is to be found, not to end the examination.
  for (const char* layer : {"namespaces", "root", "privileges", "descriptors", "process", "limits", "speculation",
                            "code", "seccomp", "supervisor"}) {
    arguments.insert(arguments.end(), {"--allow-missing", layer});
  }
  return arguments;
}

std::optional<ScriptView> ask_script(ipc::Client& client) {
  ipc::CallRequest request;
  request.module = "doctor";
  request.version = "1";
  request.function = "look";
  const auto answer = client.call(request);
  if (!answer) return std::nullopt;
  const auto found = nlohmann::json::parse(answer->payload, nullptr, false);
  if (!found.is_object()) return std::nullopt;
  return ScriptView{.makes_code_from_strings = found.value("evaluates", true),
                    .shares_memory = found.value("shares", true),
                    .has_web_assembly = found.value("wasm", true)};
}

std::string as_table(const std::vector<Finding>& findings) {
  std::vector<std::vector<std::string>> rows;
  for (const Finding& finding : findings) {
    rows.push_back({finding.layer, finding.aspect, to_string(finding.state), finding.seen});
  }
  std::string text = format_table({{"LAYER"}, {"ASPECT"}, {"STATE"}, {"SEEN"}}, rows);
  std::vector<std::string> told;
  for (const Finding& finding : findings) {
    if (finding.advice.empty() || std::find(told.begin(), told.end(), finding.advice) != told.end()) continue;
    told.push_back(finding.advice);
    text += fmt::format("{}: {}\n", finding.layer, finding.advice);
  }
  return text;
}

std::string as_json(const std::vector<Finding>& findings) {
  auto list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"layer", finding.layer},
                    {"aspect", finding.aspect},
                    {"state", to_string(finding.state)},
                    {"seen", finding.seen},
                    {"advice", finding.advice}});
  }
  return to_output(list) + "\n";
}

int fail(const std::string& message) {
  write_standard_error(fmt::format("error: {}\n", message));
  return static_cast<int>(ExitCode::stopped);
}

}  // namespace

int doctor_command(const DoctorOptions& options) {
  const ModuleFile module;
  if (!module.written()) return fail(fmt::format("cannot write {}", module.path()));
  auto supervisor = PrivateSupervisor::start(supervisor_arguments(options, module));
  if (!supervisor) return fail(supervisor.error().message);

  Examination examination;
  examination.strict = options.profile == "strict";
  examination.speculation_is_free = options.speculation == "free";
  examination.script = ask_script(supervisor->client());
  const auto list = supervisor->client().list_workers();
  if (!list) return fail(list.error().message);
  const auto found = std::find_if(list->workers.begin(), list->workers.end(),
                                  [](const auto& worker) { return worker.module == "doctor" && worker.pid != 0; });
  if (found == list->workers.end()) return fail("no worker holds the doctor's module; holdfast run tells more");
  examination.worker = look_at_process(found->pid);
  examination.supervisor = look_at_process(supervisor->pid());
  examination.self = look_at_process(::getpid());

  auto findings = examine(examination);
  for (auto& finding : try_engine_features(supervisor->client(), examination.strict))
    findings.push_back(std::move(finding));
  const bool written = write_standard_output(options.format == Format::json ? as_json(findings) : as_table(findings));
  if (!written) return static_cast<int>(ExitCode::stopped);
  const auto& allowed = options.allow_missing;
  const bool one_is_missing = std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
    return finding.state == LayerState::missing &&
           std::find(allowed.begin(), allowed.end(), finding.layer) == allowed.end();
  });
  return static_cast<int>(one_is_missing ? ExitCode::function_failed : ExitCode::result);
}

}  // namespace holdfast::cli
