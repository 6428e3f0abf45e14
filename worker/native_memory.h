// malloc(3) for a process that must say why it ends. ICU and parts of V8 go on where malloc gave them nothing, into a
// null pointer or an abort; so malloc, calloc, realloc and their aligned relatives are defined here, for every library
// of the process, and fail as operator new does: through the handler of std::set_new_handler(), which does not return.
#pragma once

#include <cstddef>

namespace holdfast::worker {

// Zeroed memory for std::free(); null where there is none, without a word to the handler.
void* allocate_zeroed_or_null(std::size_t bytes);

// As the functions above do when they fail. Returns only where no handler is set.
void refuse_memory();

}  // namespace holdfast::worker
