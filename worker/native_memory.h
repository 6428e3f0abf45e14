// malloc(3) for a process that must say why it ends. ICU and parts of V8 go on where malloc gave them nothing, into a
// null pointer or an abort; so malloc, calloc, realloc and their aligned relatives are defined here, for every library
// of the process, and fail as operator new does: through the handler of std::set_new_handler(), which does not return.
#pragma once

#include <cstddef>

namespace holdfast::worker {

// Memory for std::free(), zeroed or as it is; null where there is none, without a word to the handler.
void* allocate_zeroed_or_null(std::size_t bytes);
void* allocate_or_null(std::size_t bytes);

// Takes every block that malloc has free between others, for good. To be called in the zygote before it forks: what
// its workers allocate then lies together at the heap's end, where otherwise it would fill gaps all over the heap, and
// each would copy a page of the zygote's.
void use_up_free_blocks();

// Gives pages that malloc has free back to the kernel.
void give_back_free_pages();

// As the functions above do when they fail. Returns only where no handler is set.
void refuse_memory();

}  // namespace holdfast::worker
