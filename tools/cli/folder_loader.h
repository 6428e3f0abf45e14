// Loads modules from a folder.
#pragma once

#include <cstdint>
#include <filesystem>

#include "ipc/client.h"

namespace holdfast::cli {

// Reads MODULE-VERSION.js in `folder`, again at each call. The caller has checked `name` with ipc::name_problem(). A
// file of more than `max_bytes`, or one that is not a regular file, is a LoadFailure.
ipc::LoadOutcome load_from_folder(const std::filesystem::path& folder, const ipc::ModuleName& name,
                                  std::uint64_t max_bytes);

}  // namespace holdfast::cli
