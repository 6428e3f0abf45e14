// Notices by inotify(7) when modules' files change. Reports paths, in the form that ModuleSources::names_for() takes;
// it does not know which path belongs to which module.
//
// A change is noticed at its end: when a file that was written is closed, or when a file is moved in, moved out or
// removed. Two changes are not noticed: a link that is created in a file's place (unless it is moved there, as `ln -sf`
// does), and a change in another directory that a link leads to. If a directory is replaced by another one, also by a
// link, the other one is watched from then on.
//
// Changes are reported a moment later, many at a time. Use look() and take() to learn of them at once.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <tl/expected.hpp>
#include <unordered_map>
#include <vector>

#include "supervisor/broker/watched_places.h"

namespace holdfast::supervisor {

class ModuleWatch {
 public:
  struct Owner {
    // These files were changed, moved or removed, whether or not they are modules. Each name was chosen by a user who
    // may write to the directory: it may have any bytes but 0 and '/'.
    std::function<void(const std::set<std::string>& files)> changed;
    // More happened than was reported: any file may have changed.
    std::function<void()> everything_may_have_changed;
    // Runs watch_places() for the directories of this watch in a process that may still open files; returns an errno
    // value on failure.
    std::function<tl::expected<WatchedPlaces, int>()> watch_again;
  };

  // Reports files as one of `directories` / their name. Must be constructed while the process may still open files;
  // from start() on, the watch only reads from its one descriptor. If inotify is not available or a directory cannot be
  // watched, logs a warning and goes on without it.
  ModuleWatch(boost::asio::io_context& io, std::vector<std::filesystem::path> directories, Owner owner);

  void start() { await_events(); }

  // Whether the event loop will run a handler of this watch when something happens, and has run none since. If so,
  // look() would find nothing that was there when the event loop last looked.
  bool awaits_events() const { return awaiting_; }

  // Reads all events that happened before this call. Returns whether anything is not reported yet. Costs a system call.
  bool look();
  // Whether anything read so far is not reported yet. Costs no system call.
  bool has_news() const { return !news_.empty(); }

  // Whether one of these files may have changed and the change was neither reported nor taken yet; it now counts as
  // taken. `files` must be all paths at which one module can be. Call look() first.
  bool take(const std::vector<std::string>& files);

 private:
  // What a watch descriptor of the kernel stands for.
  struct Purpose {
    std::vector<std::size_t> directories;  // the indexes in directories_ of this directory, whatever their names
    std::set<std::string> ways;            // entries of the directory that lead to one of directories_
  };
  // What is not reported yet.
  struct News {
    std::set<std::string> files;
    bool everything = false;
    std::set<std::string> taken;  // if `everything`: the first path of each module taken since
    bool empty() const { return files.empty() && !everything; }
  };

  void use(WatchedPlaces places);
  void watch_again();
  void await_events();
  void rest(std::chrono::milliseconds duration);
  void tell();
  // Reads up to `most_reads` times; returns whether that was all there is.
  bool read(int most_reads);
  void note(std::size_t bytes);
  void everything();

  const std::vector<std::filesystem::path> directories_;
  Owner owner_;
  boost::asio::posix::stream_descriptor inotify_;
  boost::asio::steady_timer timer_;
  std::unordered_map<int, Purpose> purposes_;  // by watch descriptor
  std::vector<int> errors_;                    // as in WatchedPlaces
  News news_;
  bool is_moved_ = false;  // another directory may be in a watched one's place
  bool is_lost_ = false;   // a directory that was watched could not be found again
  bool awaiting_ = false;
  bool resting_ = false;
  // Room for some 500 events.
  alignas(8) std::array<char, 16 << 10> buffer_;
};

}  // namespace holdfast::supervisor
