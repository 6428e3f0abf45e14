#include "supervisor/modules/module_watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ipc/base/text.h"
#include "supervisor/broker/module_file.h"

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

// All events that come within this time after the first one are reported together. Replacing a file makes several
// events, which are then reported as one change. A user who makes a million events occupies the event loop only once in
// this time.
constexpr std::chrono::milliseconds kRest = 50ms;

// How many files are reported at a time. If there are more, looking at all modules is less work. That is still so much
// work that it is done only once in kRestAfterEverything.
constexpr std::size_t kMostFiles = 128;
constexpr int kMostReads = 64;  // a megabyte: more than a full queue of the kernel
constexpr std::chrono::milliseconds kRestAfterEverything = 1s;

std::string shown_path(const std::filesystem::path& path) {
  return ipc::printable(path.empty() ? "." : path.string(), ipc::Newlines::escape);
}

// Whether modules' files may be links that lead through an entry of this name.
bool may_lead_to_modules(const inotify_event& event, std::string_view name) {
  if ((event.mask & IN_ISDIR) != 0) return (event.mask & (IN_MOVED_FROM | IN_MOVED_TO)) != 0;
  return (event.mask & (IN_MOVED_TO | IN_DELETE)) != 0 &&
         std::ranges::none_of(kModuleFileEndings, [&](auto ending) { return name.ends_with(ending); });
}

}  // namespace

ModuleWatch::ModuleWatch(boost::asio::io_context& io, std::vector<std::filesystem::path> directories, Owner owner)
    : directories_(std::move(directories)), owner_(std::move(owner)), inotify_(io), timer_(io) {
  auto places = watch_places(directories_);
  if (!places) {
    spdlog::warn("cannot watch modules' files: inotify_init1: {}; changes to them are not noticed",
                 std::strerror(places.error()));
    return;
  }
  for (std::size_t i = 0; i < directories_.size(); ++i) {
    if (places->errors[i] == 0) continue;
    spdlog::warn("cannot watch {}: {}; changes to modules there are not noticed", shown_path(directories_[i]),
                 std::strerror(places->errors[i]));
  }
  use(std::move(*places));
}

void ModuleWatch::use(WatchedPlaces places) {
  boost::system::error_code ignored;
  if (inotify_.is_open()) inotify_.close(ignored);
  inotify_.assign(places.inotify.release(), ignored);
  errors_ = std::move(places.errors);
  purposes_.clear();
  for (WatchedPlace& place : places.places) {
    if (place.directory >= directories_.size()) continue;
    Purpose& purpose = purposes_[place.watch];
    if (place.entry.empty()) {
      purpose.directories.push_back(place.directory);
    } else {
      purpose.ways.insert(std::move(place.entry));
    }
  }
}

// Watches what is in the directories' places now. What happened there before is found by everything().
void ModuleWatch::watch_again() {
  is_moved_ = false;
  auto places = owner_.watch_again();
  const bool was_lost = std::exchange(is_lost_, !places);
  if (!places) return;
  const std::vector<int> before = errors_;
  use(std::move(*places));
  for (std::size_t i = 0; i < errors_.size() && i < before.size(); ++i) {
    if (errors_[i] == 0) continue;
    // A directory that was never there is looked for when its parent changes.
    const bool was_there = before[i] == 0;
    if (was_there) {
      spdlog::warn("{} was removed or replaced and cannot be watched: {}; put a directory in its place",
                   shown_path(directories_[i]), std::strerror(errors_[i]));
    }
    is_lost_ = is_lost_ || was_there || was_lost;
  }
  if (was_lost && !is_lost_) everything();
}

void ModuleWatch::await_events() {
  if (purposes_.empty() || awaiting_ || resting_) return;
  awaiting_ = true;
  inotify_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    awaiting_ = false;
    if (!error) {
      rest(kRest);
    } else if (error == boost::asio::error::operation_aborted && inotify_.is_open()) {
      await_events();  // another descriptor has replaced the old one
    }
  });
}

void ModuleWatch::rest(std::chrono::milliseconds duration) {
  if (resting_) return;
  resting_ = true;
  timer_.expires_after(duration);
  timer_.async_wait([this](const boost::system::error_code& error) {
    resting_ = false;
    if (!error) tell();
  });
}

// One read(2); the rest is left for another turn. If everything has to be looked at anyway, a bounded number of reads.
void ModuleWatch::tell() {
  read(1);
  if (news_.everything) read(kMostReads);
  const News news = std::exchange(news_, {});
  if (news.everything) {
    owner_.everything_may_have_changed();
    return rest(kRestAfterEverything);
  }
  if (!news.files.empty()) owner_.changed(news.files);
  await_events();
}

bool ModuleWatch::look() {
  if (!inotify_.is_open()) return false;
  if (is_lost_) is_moved_ = true;
  if (!read(kMostReads)) everything();
  if (news_.empty()) return false;
  rest(kRest);  // the kernel will not report again what was read
  return true;
}

bool ModuleWatch::take(const std::vector<std::string>& files) {
  bool is_news = false;
  for (const std::string& file : files) {
    if (news_.files.erase(file) > 0) is_news = true;
  }
  if (news_.everything && !files.empty() && news_.taken.insert(files.front()).second) is_news = true;
  return is_news;
}

bool ModuleWatch::read(int most_reads) {
  bool is_all = false;
  for (int reads = 0; reads < most_reads && !is_all; ++reads) {
    const ssize_t count = ::read(inotify_.native_handle(), buffer_.data(), buffer_.size());
    if (count > 0) {
      note(static_cast<std::size_t>(count));
      continue;
    }
    is_all = true;
    if (count == 0 || errno == EAGAIN || errno == EINTR) continue;
    spdlog::warn("modules' files are no longer watched: {}; restart holdfastd to watch them again",
                 std::strerror(errno));
    boost::system::error_code ignored;
    inotify_.close(ignored);
    everything();
  }
  if (is_moved_) watch_again();
  return is_all;
}

void ModuleWatch::everything() {
  news_.everything = true;
  news_.files.clear();
  news_.taken.clear();
}

void ModuleWatch::note(std::size_t bytes) {
  for (std::size_t at = 0; at < bytes;) {
    inotify_event event;
    std::memcpy(&event, buffer_.data() + at, sizeof event);
    const char* const name = buffer_.data() + at + sizeof event;
    at += sizeof event + event.len;
    if ((event.mask & IN_Q_OVERFLOW) != 0) everything();
    const auto found = purposes_.find(event.wd);
    if (found == purposes_.end()) continue;
    const Purpose& purpose = found->second;
    const bool is_directory = !purpose.directories.empty();
    const bool ends = (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) != 0;
    if ((ends && is_directory) || (event.len > 0 && purpose.ways.contains(name))) {
      everything();
      is_moved_ = true;
    } else if (event.len > 0 && is_directory) {
      if (may_lead_to_modules(event, name)) everything();
      if ((event.mask & (IN_ISDIR | IN_CREATE)) != 0) continue;
      for (const std::size_t i : purpose.directories) {
        if (!news_.everything) news_.files.insert((directories_[i] / name).lexically_normal().string());
        if (news_.files.size() > kMostFiles) everything();
      }
    }
  }
}

}  // namespace holdfast::supervisor
