// The pages of the program's code and constants, and of its libraries', as the zygote's children find them.
//
// fork(2) leaves out the page tables of what is mapped from files: for each 64 kB that a child uses it takes a page
// fault, of which a first call has a hundred.
#pragma once

#include <cstddef>
#include <functional>

namespace holdfast::worker {

struct CodePages {
  std::size_t huge = 0;   // pages of 2 MB
  std::size_t small = 0;  // others, which a fork puts into the child's page table
};

// Hands what `use` touches down to the processes that are forked from here on: where much of 2 MB is used, as a copy in
// a huge page (Documentation/admin-guide/mm/transhuge.rst), and else by entries that the fork copies. What the kernel
// does not offer is left as it was. Needs /proc, and mappings that are not sealed yet; nothing else may run meanwhile.
CodePages hand_down_code_pages(const std::function<void()>& use);

}  // namespace holdfast::worker
