// Reads the text of a file that is open already.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "ipc/base/unique_fd.h"

namespace holdfast::supervisor {

// The whole text of a regular file of at most `max_bytes`, from the current offset of `file`. The error continues a
// sentence about the file: "it is not a regular file". Makes no system call that takes a path.
tl::expected<std::string, std::string> file_text(const UniqueFd& file, std::uint64_t max_bytes);

}  // namespace holdfast::supervisor
