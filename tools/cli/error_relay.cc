#include "tools/cli/error_relay.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "tools/cli/standard_streams.h"

namespace holdfast::cli {
namespace {

// Enough for every message that ends a start, and for a sanitizer's report.
constexpr std::size_t kMaxHeldBytes = std::size_t{64} << 10;

// A process that the program started may keep its standard error open for longer; that is not worth waiting for.
constexpr std::chrono::milliseconds kEndPatience{1000};

}  // namespace

struct ErrorRelay::Shared {
  explicit Shared(UniqueFd end) : pipe(std::move(end)) {}

  void run() {
    char bytes[4096];
    for (;;) {
      const ssize_t count = ::read(pipe.get(), bytes, sizeof bytes);
      if (count < 0 && errno == EINTR) continue;
      const std::lock_guard lock(mutex);
      if (count <= 0) break;
      held.append(bytes, static_cast<std::size_t>(count));
      if (passes_on) flush();
      if (held.size() > kMaxHeldBytes) held.erase(0, held.size() - kMaxHeldBytes);
    }
    const std::lock_guard lock(mutex);
    ended = true;
    end.notify_all();
  }

  void flush() {
    if (!held.empty()) write_standard_error(held);
    held.clear();
  }

  const UniqueFd pipe;
  std::mutex mutex;
  std::condition_variable end;
  std::string held;
  bool passes_on = false;
  bool ended = false;
};

std::unique_ptr<ErrorRelay> ErrorRelay::open() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return nullptr;
  std::unique_ptr<ErrorRelay> relay(new ErrorRelay);
  relay->program_end_.reset(ends[1]);
  relay->shared_ = std::make_shared<Shared>(UniqueFd(ends[0]));
  // Signals must go to the thread that makes the call.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([shared = relay->shared_] { shared->run(); }).detach();
  } catch (const std::system_error& error) {
    relay->shared_->ended = true;
    errno = error.code().value();
    relay.reset();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return relay;
}

ErrorRelay::~ErrorRelay() { finish(); }

void ErrorRelay::finish() {
  program_end_.reset();
  std::unique_lock lock(shared_->mutex);
  shared_->end.wait_for(lock, kEndPatience, [this] { return shared_->ended; });
}

void ErrorRelay::pass_on() {
  const std::lock_guard lock(shared_->mutex);
  shared_->passes_on = true;
  shared_->flush();
}

std::string ErrorRelay::take() {
  finish();
  const std::lock_guard lock(shared_->mutex);
  return std::move(shared_->held);
}

}  // namespace holdfast::cli
