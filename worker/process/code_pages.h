// Halves the page faults that a forked worker takes up to its first answer: maps the code and constants that a first
// call uses, of the program and its libraries, before the zygote forks.
//
// fork(2) does not copy the page tables of file mappings. Without this, a child takes one page fault for each 64 kB
// of code that it uses: a hundred in a first call.
#pragma once

#include <cstddef>
#include <functional>

namespace holdfast::worker {

struct CodePages {
  std::size_t huge = 0;   // pages of 2 MB
  std::size_t small = 0;  // other pages, whose page-table entries a fork copies
};

// Pre-faults the code and constants that `use` touches for all processes that are forked after this call. Where a
// large part of 2 MB is used, puts a copy in a huge page in its place (Documentation/admin-guide/mm/transhuge.rst);
// elsewhere makes forks copy the page-table entries. Leaves as it was what the kernel does not let it change. Returns
// the number of pages pre-faulted. Needs /proc, and mappings that are not sealed yet. No other thread may run during
// the call.
CodePages prefault_code_pages(const std::function<void()>& use);

}  // namespace holdfast::worker
