#include "tools/cli/doctor/doctor_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tools/cli/doctor/descriptor_finding.h"
#include "tools/cli/doctor/engine_features.h"
#include "tools/cli/doctor/findings.h"
#include "tools/cli/json_text.h"
#include "tools/cli/private_supervisor.h"
#include "tools/cli/standard_streams.h"
#include "tools/cli/start_failure.h"
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

// A temporary file with a module; the destructor removes it.
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

tl::expected<PrivateSupervisor, StartError> start(const DoctorOptions& options, const ModuleFile& module,
                                                  const std::vector<RefusedLayer>& without) {
  std::vector<std::string> arguments = {"--module",      "doctor@1=" + module.path(),
                                        "--profile",     options.profile,
                                        "--isolation",   options.isolation,
                                        "--speculation", options.speculation,
                                        "--max-workers", "1",
                                        "--standby",     "0",
                                        "--log-level",   "error"};
  for (const RefusedLayer& one : without) arguments.insert(arguments.end(), {"--allow-missing", one.layer});
  return PrivateSupervisor::start(arguments);
}

// Starts holdfastd without the layers that cannot be set up here, so that they become findings and do not end the
// examination: each failed start names one such layer, and holdfastd is started again without it.
tl::expected<PrivateSupervisor, StartError> start_with_what_there_is(const DoctorOptions& options,
                                                                     const ModuleFile& module,
                                                                     std::vector<RefusedLayer>& refused) {
  for (;;) {
    auto supervisor = start(options, module, refused);
    if (supervisor) return supervisor;
    const std::string& reason = supervisor.error().message;
    const std::string layer = layer_of_failed_start(reason);
    const bool was_known = std::ranges::find(refused, layer, &RefusedLayer::layer) != refused.end();
    if (layer.empty() || was_known) return supervisor;
    refused.push_back({layer, std::string(message_on_layer(reason))});
  }
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

std::string as_table(const std::vector<Finding>& findings, const Verdict& verdict) {
  std::vector<std::vector<std::string>> rows;
  for (const Finding& finding : findings) {
    rows.push_back({finding.layer, finding.aspect, to_string(finding.state), finding.seen});
  }
  std::string text = rows.empty() ? "" : format_table({{"LAYER"}, {"ASPECT"}, {"STATE"}, {"SEEN"}}, rows);
  std::vector<std::string> told = {verdict.advice};
  for (const Finding& finding : findings) {
    if (finding.advice.empty() || std::find(told.begin(), told.end(), finding.advice) != told.end()) continue;
    told.push_back(finding.advice);
    text += fmt::format("{}: {}\n", finding.layer, finding.advice);
  }
  if (!verdict.advice.empty()) text += fmt::format("to do: {}\n", verdict.advice);
  return text + fmt::format("verdict: {}\n", verdict.text);
}

std::string as_json(const std::vector<Finding>& findings, const Verdict& verdict, ExitCode code) {
  auto list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"layer", finding.layer},
                    {"aspect", finding.aspect},
                    {"state", to_string(finding.state)},
                    {"seen", finding.seen},
                    {"advice", finding.advice}});
  }
  // The verdict is a row like the others, so that readers of the JSON find only rows.
  list.push_back({{"layer", "verdict"},
                  {"aspect", "holdfastd starts here"},
                  {"state", to_string(verdict.is_good ? LayerState::active : LayerState::missing)},
                  {"seen", verdict.text},
                  {"advice", verdict.advice},
                  {"verdict", verdict.text},
                  {"starts", verdict.starts},
                  {"exit_code", static_cast<int>(code)}});
  return to_output(list) + "\n";
}

int tell(const DoctorOptions& options, const std::vector<Finding>& findings, const Verdict& verdict, ExitCode code) {
  const bool is_json = options.format == Format::json;
  const bool written = write_standard_output(is_json ? as_json(findings, verdict, code) : as_table(findings, verdict));
  return static_cast<int>(written ? code : ExitCode::stopped);
}

// Reports that there is no worker to examine.
int fail(const DoctorOptions& options, const std::string& message) {
  const std::size_t end = std::min(message.find("; "), message.size());
  return tell(options, {},
              {.text = fmt::format("no worker can be examined here: {}", message.substr(0, end)),
               .advice = end == message.size() ? "" : message.substr(end + 2)},
              ExitCode::stopped);
}

}  // namespace

int doctor_command(const DoctorOptions& options) {
  const ModuleFile module;
  if (!module.written()) {
    return fail(options, fmt::format("cannot write {}: {}", module.path(), std::strerror(errno)));
  }
  Examination examination;
  auto supervisor = start_with_what_there_is(options, module, examination.refused);
  if (!supervisor) return fail(options, supervisor.error().message);

  examination.strict = options.profile == "strict";
  examination.speculation_is_free = options.speculation == "free";
  examination.script = ask_script(supervisor->client());
  const auto list = supervisor->client().list_workers();
  if (!list) return fail(options, list.error().message);
  const auto found = std::ranges::find(list->workers, "doctor", &ipc::WorkerInfo::module);
  if (found == list->workers.end()) {
    return fail(options, "no worker has the doctor's module; `holdfast run FILE FUNC` may show why");
  }
  // Pids from holdfastd do not fit a /proc that is mounted for another pid namespace.
  const pid_t self = pid_in_proc(::getpid());
  if (found->pid != 0 && self == ::getpid()) examination.worker = look_at_process(found->pid);
  examination.supervisor = look_at_process(pid_in_proc(supervisor->pid()));
  examination.self = look_at_process(self);

  auto findings = examine(examination);
  for (auto& finding : try_engine_features(supervisor->client(), examination.strict))
    findings.push_back(std::move(finding));
  findings.push_back(look_at_descriptors());
  const Verdict verdict = verdict_on(findings, examination, options.allow_missing);
  return tell(options, findings, verdict, verdict.is_good ? ExitCode::result : ExitCode::function_failed);
}

}  // namespace holdfast::cli
