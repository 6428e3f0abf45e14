// Where a function's name stands in its code, given where V8 says that the function begins: at its keyword, at its
// parameters, at its property. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace holdfast::worker {

// The offset in `code` of the token `name` that names the function which begins at `begin`; nothing: it has another
// name there, or gets its name in a way that is not known here.
std::optional<std::size_t> find_function_name(std::u16string_view code, std::size_t begin, std::u16string_view name);

}  // namespace holdfast::worker
