// What the supervisor spends for clients, and how much of it one user and all users together may have.
// docs/operating.md, "What clients share", gives the same figures.
#pragma once

#include <chrono>
#include <cstddef>

#include "supervisor/net/connection.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/shares/accountant.h"

namespace holdfast::supervisor {

class ClientSession;
struct KnownModule;

struct ClientAccounts {
  // One user may have three quarters of `total`: the last quarter is left for other users.
  static constexpr ResourceBounds with_reserve(std::uint64_t total, std::uint64_t negligible = 0) {
    return {.total = total, .per_user = total - total / 4, .negligible = negligible};
  }

  // `memory_bytes` bounds each of the memory accounts on its own.
  ClientAccounts(std::size_t max_clients, std::uint64_t memory_bytes)
      : places(with_reserve(max_clients)),
        frames(with_reserve(memory_bytes)),
        unread(with_reserve(memory_bytes, std::size_t{64} << 10)),
        calls(with_reserve(memory_bytes, std::size_t{4} << 10)),
        asks(with_reserve(kMostAsks)),
        sources(with_reserve(kMostSourceBytes)) {}

  // Connections. A connection with an open call, a log subscription or a loader's registration is at work
  // (Account::set_at_work()).
  Accountant<ClientSession> places;
  // Bytes of frames that have arrived only in part.
  Connection::FrameAccounts frames;
  // Bytes of answers that clients have not read. Reading some of them is progress.
  Accountant<ClientSession> unread;
  // Bytes kept for open calls: function names and payloads.
  Accountant<const CallId> calls;
  // Modules that loaders have been asked for, and bytes of loaders' code that waits for a worker. Both are charged to
  // the user who called the module last.
  static constexpr std::size_t kMostAsks = 1024;
  static constexpr std::size_t kMostSourceBytes = std::size_t{256} << 20;
  Accountant<KnownModule> asks;
  Accountant<KnownModule> sources;

  // A partial frame is given up after this long without progress.
  static constexpr std::chrono::seconds kFramePatience{10};
  // A client is disconnected that has left more than kMuchUnread bytes unread and has read nothing for
  // kMuchUnreadPatience.
  static constexpr std::chrono::seconds kMuchUnreadPatience{30};
  static constexpr std::size_t kMuchUnread = std::size_t{1} << 20;
  // A client is disconnected that has left less than that unread and has read nothing for this long.
  static constexpr std::chrono::hours kUnreadPatience{1};
};

}  // namespace holdfast::supervisor
