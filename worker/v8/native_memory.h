// malloc(3) for a process that must say why it ends. When malloc returns null, ICU and parts of V8 go on into a null
// pointer or an abort. Therefore malloc, calloc, realloc and their aligned relatives are defined here, for every
// library of the process. They fail as operator new does: through the handler of std::set_new_handler(), which does
// not return.
#pragma once

#include <cstddef>

namespace holdfast::worker {

// Memory for std::free(), zeroed or uninitialized. Returns null if there is none, without calling the handler.
void* allocate_zeroed_or_null(std::size_t bytes);
void* allocate_or_null(std::size_t bytes);

// Allocates every free block that malloc has between used ones, for good. Must be called in the zygote before it
// forks. What its workers allocate then lies together at the heap's end. Otherwise it would fill gaps all over the
// heap, and each worker would copy a page of the zygote's for each gap.
void use_up_free_blocks();

// Returns free pages of malloc's heap to the kernel.
void give_back_free_pages();

// Calls the handler, as the replaced functions do when they fail. Returns only if no handler is set.
void refuse_memory();

}  // namespace holdfast::worker
