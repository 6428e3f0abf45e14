// The supervisor's modules: where their code comes from, and what happens when it changes.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "ipc/text.h"
#include "supervisor/call_errors.h"
#include "supervisor/supervisor.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

}  // namespace

void Supervisor::fetch(KnownModule& module) {
  // A file is read when a worker is there for it.
  scheduler_.source_ready(module.id, steady_clock::now(), decisions_);
}

tl::expected<ModuleSource, ipc::Error> Supervisor::take_source(KnownModule& module) {
  return sources_.read(module.name);
}

// A version that is another than it was is worth a word: what was tested may not be what runs.
void Supervisor::note_content(KnownModule& module, const ModuleSource& source) {
  const std::size_t content = content_mark(source);
  if (module.content && *module.content != content) {
    spdlog::warn("{}: its content has changed; workers that run what it was finish their calls and are replaced",
                 to_string(module.name));
  }
  module.content = content;
}

void Supervisor::module_files_changed(const std::set<std::string>& files) {
  for (const auto& [name, module] : modules_.all()) {
    if (files.contains(sources_.file_of(name))) check_content(*module);
  }
  carry_out();
}

void Supervisor::all_module_files_may_have_changed() {
  for (const auto& [name, module] : modules_.all()) check_content(*module);
  carry_out();
}

// Only a file that was loaded can be another than it was; one that is touched is not.
void Supervisor::check_content(KnownModule& module) {
  if (module.origin != KnownModule::Origin::directory || !module.content) return;
  const auto source = sources_.read(module.name);
  if (source && content_mark(*source) == *module.content) return;
  if (source) {
    note_content(module, *source);
  } else {
    spdlog::warn("{}: its file cannot be read any more; workers that run what it was finish their calls and are removed",
                 to_string(module.name));
    module.content.reset();
  }
  module.last_failure.reset();
  scheduler_.source_changed(module.id, steady_clock::now(), decisions_);
}

}  // namespace holdfast::supervisor
