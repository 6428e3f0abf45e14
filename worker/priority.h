// Workers run at a lower priority than the supervisor and the zygote, for which all modules wait where there are more
// to run than cores.
#pragma once

namespace holdfast::worker {

// Of the calling process and the children that it forks from then on. Takes no right.
void lower_own_priority();

// Of the calling process's session against other sessions, where the kernel makes groups of them (autogroups,
// sched(7)): it then compares priorities only within a session. Needs /proc.
void lower_priority_of_session();

}  // namespace holdfast::worker
