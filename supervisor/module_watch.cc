#include "supervisor/module_watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ipc/text.h"

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kEvents =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

// Between the first event and a look at all that have come by then. Whoever replaces a file makes several, and is to be
// told of once; and whoever makes a million of them gets the event loop's attention this often and no more.
constexpr std::chrono::milliseconds kRest = 50ms;

// What is told of at a time. Of more than that, it is less work to look at everything; which is work enough to be done
// only so often.
constexpr std::size_t kMostFiles = 128;
constexpr int kMostReads = 64;  // a megabyte, a full queue of the kernel's and more
constexpr std::chrono::milliseconds kRestAfterEverything = 1s;

std::string shown_path(const std::filesystem::path& path) {
  return ipc::printable(path.string(), ipc::Newlines::escape);
}

}  // namespace

ModuleWatch::ModuleWatch(boost::asio::io_context& io, Owner owner)
    : owner_(std::move(owner)), inotify_(io), timer_(io) {
  const int inotify = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (inotify >= 0) {
    inotify_.assign(inotify);
  } else {
    spdlog::warn("cannot watch modules' files: inotify_init1: {}", std::strerror(errno));
  }
}

void ModuleWatch::watch(const std::filesystem::path& directory) {
  if (!inotify_.is_open()) return;
  const char* const path = directory.empty() ? "." : directory.c_str();
  const int watch = ::inotify_add_watch(inotify_.native_handle(), path, kEvents);
  if (watch < 0) {
    return spdlog::warn("cannot watch {}: {}; modules that change there are not noticed", shown_path(path),
                        std::strerror(errno));
  }
  auto& names = watched_[watch].names;
  if (std::ranges::find(names, directory) == names.end()) names.push_back(directory);
}

void ModuleWatch::await_events() {
  if (watched_.empty()) return;
  inotify_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) rest_then(kRest, &ModuleWatch::read_events);
  });
}

void ModuleWatch::rest_then(std::chrono::milliseconds rest, void (ModuleWatch::*next)()) {
  timer_.expires_after(rest);
  timer_.async_wait([this, next](const boost::system::error_code& error) {
    if (!error) (this->*next)();
  });
}

// One read(2), and what else is there for another turn; or a bounded number of them, where everything has to be looked
// at anyway.
void ModuleWatch::read_events() {
  Told told;
  for (int reads = 0; reads == 0 || (told.everything && reads < kMostReads); ++reads) {
    const ssize_t count = ::read(inotify_.native_handle(), buffer_.data(), buffer_.size());
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
      spdlog::warn("modules' files are no longer watched: {}", std::strerror(errno));
      return owner_.everything_may_have_changed();
    }
    if (count <= 0) break;
    take(static_cast<std::size_t>(count), told);
    told.everything = told.everything || told.files.size() > kMostFiles;
  }
  if (told.everything) {
    owner_.everything_may_have_changed();
    return rest_then(kRestAfterEverything, &ModuleWatch::await_events);
  }
  if (!told.files.empty()) owner_.changed(told.files);
  await_events();
}

void ModuleWatch::take(std::size_t bytes, Told& told) {
  for (std::size_t at = 0; at < bytes;) {
    inotify_event event;
    std::memcpy(&event, buffer_.data() + at, sizeof event);
    const char* const name = buffer_.data() + at + sizeof event;
    at += sizeof event + event.len;
    if ((event.mask & IN_Q_OVERFLOW) != 0) told.everything = true;
    const auto found = watched_.find(event.wd);
    if (found == watched_.end()) continue;
    if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) != 0) {
      told.everything = true;
      lose_sight_of(found->second);
      if ((event.mask & IN_IGNORED) != 0) watched_.erase(found);
    } else if (event.len > 0 && (event.mask & IN_ISDIR) == 0) {
      for (const auto& directory : found->second.names) {
        told.files.insert((directory / name).lexically_normal().string());
      }
    }
  }
}

// The directory is gone, or was moved: what is in its place now, if anything, is another one.
void ModuleWatch::lose_sight_of(Watched& watched) {
  if (watched.is_out_of_place) return;
  watched.is_out_of_place = true;
  for (const auto& name : watched.names) {
    spdlog::warn("{} was removed or replaced; modules that change there are not noticed until a restart",
                 shown_path(name.empty() ? "." : name));
  }
}

}  // namespace holdfast::supervisor
