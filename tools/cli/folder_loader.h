// A folder of modules, given to a supervisor file by file.
#pragma once

#include <cstdint>
#include <filesystem>

#include "ipc/client.h"

namespace holdfast::cli {

// Reads MODULE-VERSION.js of `folder`, anew each time. `name` was checked with ipc::name_problem(). A file of more than
// `max_bytes`, and one that is no regular file, is a failure.
ipc::LoadOutcome load_from_folder(const std::filesystem::path& folder, const ipc::ModuleName& name,
                                  std::uint64_t max_bytes);

}  // namespace holdfast::cli
