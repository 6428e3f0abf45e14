// Signals between Holdfast's processes, and signals that others may send to all of them.
#pragma once

#include <signal.h>

namespace holdfast::ipc {

// Only the supervisor acts on these or decides to ignore them (docs/operating.md); the other processes ignore them. A
// service manager may send them to all processes of a service, and open calls must still get their time to finish.
constexpr int kSupervisorsSignals[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM};

// Tells a launcher to end itself and its zygote. It is a real-time signal (signal(7)), because other programs do not
// send those by habit.
constexpr int kLauncherEndSignal = 40;

}  // namespace holdfast::ipc
