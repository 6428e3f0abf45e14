// Finds a function's name in its code, given the offset at which V8 says that the function begins: its keyword, its
// parameters or its property. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace holdfast::worker {

// Returns the offset in `code` of the token `name` that names the function beginning at `begin`. Returns nothing if
// the function has another name there, or gets its name in a way that is not known here.
std::optional<std::size_t> find_function_name(std::u16string_view code, std::size_t begin, std::u16string_view name);

}  // namespace holdfast::worker
