// Signals among Holdfast's processes, and those that others may send to all of them.
#pragma once

#include <signal.h>

namespace holdfast::ipc {

// For the supervisor alone to act on, or to ignore (docs/operating.md): a service manager may send these to all
// processes of a service, and open calls are to have their time. The other processes ignore them.
constexpr int kSupervisorsSignals[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM};

// Tells a launcher to end, and its zygote with it: a real-time signal (signal(7)), which nobody sends by habit.
constexpr int kLauncherEndSignal = 40;

}  // namespace holdfast::ipc
