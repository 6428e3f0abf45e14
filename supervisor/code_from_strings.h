// Which modules the operator lets make code from strings (--allow-eval). A module that does so runs what nobody loaded:
// whoever gets a text of theirs into such a module may run code as that module.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "ipc/module_name.h"

namespace holdfast::supervisor {

class CodeFromStringsPermission {
 public:
  // "MODULE", which means each of its versions, or "MODULE@VERSION". The error says what is wrong with `text`.
  tl::expected<void, std::string> add(std::string_view text);

  bool covers(const ipc::ModuleName& name) const;

 private:
  std::set<std::string> modules_;
  std::set<ipc::ModuleName> versions_;
};

}  // namespace holdfast::supervisor
