// Which modules may make code from strings (--allow-eval). Such a module runs code that no loader supplied: anyone
// who can get a text into the module may run code as that module.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "ipc/base/module_name.h"

namespace holdfast::supervisor {

class CodeFromStringsPermission {
 public:
  // `text` is "MODULE", for all of its versions, or "MODULE@VERSION". The error says what is wrong with `text`.
  tl::expected<void, std::string> add(std::string_view text);

  bool covers(const ipc::ModuleName& name) const;

 private:
  std::set<std::string> modules_;
  std::set<ipc::ModuleName> versions_;
};

}  // namespace holdfast::supervisor
