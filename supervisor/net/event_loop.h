// The supervisor's event loop: Asio's, divided into turns, and with busy-polling.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>

#include "supervisor/net/turn.h"

namespace holdfast::supervisor {

// Runs all handlers that are ready, and ends the turn if that is due; repeats this until no turn is due. False: no
// handler was ready, and no turn was due.
bool run_ready(boost::asio::io_context& io, Turn& turn);

// What the loop waits for. Busy-polling adapts to each of the two on its own, because the times at which answers and
// calls come have nothing to do with each other.
enum class WaitFor { answers, calls };

// Runs all handlers in turns until there is no more work, or `io` is stopped. Where it pays (ipc/base/busy_poll.h), the
// loop busy-polls for up to `busy_poll` before it sleeps; 0: it always sleeps at once. It calls `waits_for` before
// each wait.
void run(boost::asio::io_context& io, Turn& turn, std::chrono::nanoseconds busy_poll,
         const std::function<WaitFor()>& waits_for);

}  // namespace holdfast::supervisor
