// What the supervisor spends for clients, and how much of each a user and all of them together may have. The figures
// are those of docs/operating.md, "What clients share".
#pragma once

#include <chrono>
#include <cstddef>

#include "supervisor/accountant.h"
#include "supervisor/connection.h"
#include "supervisor/ids.h"

namespace holdfast::supervisor {

class ClientSession;
struct KnownModule;

struct ClientAccounts {
  // Of a resource of `total`, one user may have three quarters: the last one is there for whoever else comes.
  static constexpr ResourceBounds with_reserve(std::uint64_t total, std::uint64_t negligible = 0) {
    return {.total = total, .per_user = total - total / 4, .negligible = negligible};
  }

  // `memory_bytes` for each of the accounts of memory.
  ClientAccounts(std::size_t max_clients, std::uint64_t memory_bytes)
      : places(with_reserve(max_clients)),
        frames(with_reserve(memory_bytes)),
        unread(with_reserve(memory_bytes, std::size_t{64} << 10)),
        calls(with_reserve(memory_bytes, std::size_t{4} << 10)),
        asks(with_reserve(kMostAsks)),
        sources(with_reserve(kMostSourceBytes)) {}

  // Connections. One that has something open is at work.
  Accountant<ClientSession> places;
  // Bytes of frames that have arrived in part.
  Connection::FrameAccounts frames;
  // Bytes of answers that clients have not taken. It is progress to take some.
  Accountant<ClientSession> unread;
  // Bytes that are kept for open calls: functions' names and payloads.
  Accountant<const CallId> calls;
  // Modules that loaders are asked for, and bytes of code from loaders on its way to workers: of the user who called
  // the module last.
  static constexpr std::size_t kMostAsks = 1024;
  static constexpr std::size_t kMostSourceBytes = std::size_t{256} << 20;
  Accountant<KnownModule> asks;
  Accountant<KnownModule> sources;

  // A part of a frame gives way after so long without progress.
  static constexpr std::chrono::seconds kFramePatience{10};
  // A client that has left more than kMuchUnread unread, and takes nothing for so long, is not coming back for it.
  static constexpr std::chrono::seconds kMuchUnreadPatience{30};
  static constexpr std::size_t kMuchUnread = std::size_t{1} << 20;
  // And one that has left less.
  static constexpr std::chrono::hours kUnreadPatience{1};
};

}  // namespace holdfast::supervisor
