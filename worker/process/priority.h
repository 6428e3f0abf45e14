// Workers run at a lower priority than the supervisor and the zygote, because all modules wait for those two when
// there are more runnable processes than cores.
#pragma once

namespace holdfast::worker {

// Lowers the priority of the calling process and of the children that it forks later. Takes no privilege.
void lower_own_priority();

// Lowers the priority of the calling process's session against other sessions. Where the kernel groups processes by
// session (autogroups, sched(7)), it compares the priorities of processes only within a session. Needs /proc.
void lower_priority_of_session();

}  // namespace holdfast::worker
