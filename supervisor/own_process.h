// The state of holdfastd's own process at its start: what its parent may have left, and the limits that the kernel and
// malloc(3) have for it.
#pragma once

#include <cstddef>
#include <vector>

namespace holdfast::supervisor {

// Mends what a careless parent may have left: a closed standard descriptor, whose number the next socket would get,
// and an ignored SIGCHLD, with which no child could be waited for. Then ignores the signals that must not end or stop
// holdfastd; see docs/operating.md. Call before anything is opened.
void mend_inheritance();

// Makes malloc(3) give large blocks back to the kernel. Call before large blocks are allocated.
void set_up_malloc();

// Closes all descriptors that a parent left open but the standard ones and those with the numbers in `kept`. The
// supervisor reads what strangers send, so it must not hold the others.
void close_all_but(std::vector<int> kept);

// Raises the limit of open files as far as the host allows; returns the limit.
std::size_t raise_descriptor_limit();

}  // namespace holdfast::supervisor
