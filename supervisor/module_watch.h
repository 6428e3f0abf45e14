// Notices when modules' files change, by inotify(7). Which file is whose is not for it to say: it tells paths, as
// ModuleSources::names_for() takes them.
//
// A change is told at its end: when a file that was written is closed, or when a file is moved in or out or removed. A
// link that is made in the place of a file is none of these, unless it is moved there, as `ln -sf` does; nor is a
// change of what a link leads to, in another directory.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace holdfast::supervisor {

class ModuleWatch {
 public:
  struct Owner {
    // Something became of these files, whether they are modules or not. Each name is some directory's user's choice: it
    // may have any bytes but 0 and '/'.
    std::function<void(const std::set<std::string>& files)> changed;
    // More happened than was told of.
    std::function<void()> everything_may_have_changed;
  };

  // To be constructed, and told of all directories, while the process may still open files; from start() on it only
  // reads from the one descriptor that it has. Where there is no inotify to be had, that is warned of, and nothing is
  // ever told.
  ModuleWatch(boost::asio::io_context& io, Owner owner);

  // Files are told of as `directory` / their name. One that cannot be watched is warned of, and left out.
  void watch(const std::filesystem::path& directory);

  void start() { await_events(); }

 private:
  struct Watched {
    // As it was named; the kernel has one watch for all names of a directory.
    std::vector<std::filesystem::path> names;
    bool is_out_of_place = false;  // which was warned of
  };

  void await_events();
  void rest_then(std::chrono::milliseconds rest, void (ModuleWatch::*next)());
  void read_events();
  struct Told {
    std::set<std::string> files;
    bool everything = false;
  };
  // Adds what the events in the buffer's first `bytes` tell.
  void take(std::size_t bytes, Told& told);
  void lose_sight_of(Watched& watched);

  Owner owner_;
  boost::asio::posix::stream_descriptor inotify_;
  boost::asio::steady_timer timer_;
  std::unordered_map<int, Watched> watched_;  // by watch descriptor
  // At most some 500 events at a time.
  alignas(8) std::array<char, 16 << 10> buffer_;
};

}  // namespace holdfast::supervisor
