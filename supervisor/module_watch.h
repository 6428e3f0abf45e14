// Notices when modules' files change, by inotify(7). Which file is whose is not for it to say: it tells paths, as
// ModuleSources::names_for() takes them.
//
// A change is noticed at its end: when a file that was written is closed, or when a file is moved in or out or removed.
// A link that is made in the place of a file is none of these, unless it is moved there, as `ln -sf` does; nor is a
// change of what a link leads to, in another directory. Where a directory is replaced by another, also by a link, the
// other one is watched from then on.
//
// Changes are told a moment later, many at a time. Who must know at once asks with look() and take().
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

#include "supervisor/watched_places.h"

namespace holdfast::supervisor {

class ModuleWatch {
 public:
  struct Owner {
    // Something became of these files, whether they are modules or not. Each name is some directory's user's choice: it
    // may have any bytes but 0 and '/'.
    std::function<void(const std::set<std::string>& files)> changed;
    // More happened than was told of.
    std::function<void()> everything_may_have_changed;
    // watch_places() for the directories of this watch, by who may still open them; an errno value on failure.
    std::function<tl::expected<WatchedPlaces, int>()> watch_again;
  };

  // Files are told of as one of `directories` / their name. To be constructed while the process may still open files;
  // from start() on it only reads from the one descriptor that it has. Where there is no inotify to be had, or a
  // directory cannot be watched, that is warned of, and left out.
  ModuleWatch(boost::asio::io_context& io, std::vector<std::filesystem::path> directories, Owner owner);

  void start() { await_events(); }

  // Whether the event loop will run a handler of this watch when something happens, and has run none since. Then look()
  // finds nothing that was there when the event loop looked last.
  bool awaits_events() const { return awaiting_; }

  // Takes note of all that has happened before this is called; whether anything is not told yet. Costs a system call.
  bool look();
  // The same as of the last look(), for nothing.
  bool has_news() const { return !news_.empty(); }

  // Whether one of these files, which are all that a module can be in, may have changed and that was neither told nor
  // taken yet. Before it: look().
  bool take(const std::vector<std::string>& files);

 private:
  // What a watch of the kernel is for.
  struct Purpose {
    std::vector<std::size_t> directories;  // places of directories_ that it is, under whatever names
    std::set<std::string> ways;            // entries that lead to one of them
  };
  // What is not told yet.
  struct News {
    std::set<std::string> files;
    bool everything = false;
    std::set<std::string> taken;  // after everything: files of which that is told already
    bool empty() const { return files.empty() && !everything; }
  };

  void use(WatchedPlaces places);
  void watch_again();
  void await_events();
  void rest(std::chrono::milliseconds duration);
  void tell();
  // Reads up to so many times; whether that was all that is there.
  bool read(int most_reads);
  void note(std::size_t bytes);
  void everything();

  const std::vector<std::filesystem::path> directories_;
  Owner owner_;
  boost::asio::posix::stream_descriptor inotify_;
  boost::asio::steady_timer timer_;
  std::unordered_map<int, Purpose> purposes_;  // by watch descriptor
  std::vector<int> errors_;                    // as WatchedPlaces has them
  News news_;
  bool is_moved_ = false;  // a directory may be another one than the one that is watched
  bool is_lost_ = false;   // a directory that was watched could not be found again
  bool awaiting_ = false;
  bool resting_ = false;
  // At most some 500 events at a time.
  alignas(8) std::array<char, 16 << 10> buffer_;
};

}  // namespace holdfast::supervisor
