#include "supervisor/settings/code_from_strings.h"

#include <fmt/format.h>

#include "ipc/base/text.h"

namespace holdfast::supervisor {

tl::expected<void, std::string> CodeFromStringsPermission::add(std::string_view text) {
  if (text.find('@') == std::string_view::npos) {
    if (const auto problem = ipc::name_problem(text, "module's name")) {
      return tl::unexpected(fmt::format("\"{}\" does not name a module: {}; expected MODULE or MODULE@VERSION",
                                        ipc::shown(text), *problem));
    }
    modules_.emplace(text);
    return {};
  }
  auto name = ipc::parse_module_name(text);
  if (!name) return tl::unexpected(name.error());
  versions_.insert(std::move(*name));
  return {};
}

bool CodeFromStringsPermission::covers(const ipc::ModuleName& name) const {
  return modules_.contains(name.module) || versions_.contains(name);
}

}  // namespace holdfast::supervisor
