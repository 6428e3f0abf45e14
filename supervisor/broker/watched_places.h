// What must be watched (inotify(7)) to see changes of the files in some directories: the directories themselves, and
// the places where another directory could take their place, which are their parents and the parents of links on the
// way to them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/unique_fd.h"

namespace holdfast::supervisor {

struct WatchedPlace {
  int watch = 0;              // the kernel's number
  std::size_t directory = 0;  // index in the list of directories
  std::string entry;          // empty: the directory itself; else the entry of a parent that leads to it
};

struct WatchedPlaces {
  UniqueFd inotify;  // does not block
  std::vector<WatchedPlace> places;
  // For each directory 0, or the errno value with which it could not be watched.
  std::vector<int> errors;
};

// Watches all directories with a new inotify descriptor; fails with an errno value if there is none to be had. Leaves
// out parents to which every user may write, because strangers could keep the reader busy.
tl::expected<WatchedPlaces, int> watch_places(const std::vector<std::filesystem::path>& directories);

// All but the descriptor as text, for one process of the supervisor to send to another. The text is trusted.
std::string to_text(const WatchedPlaces& watched);
WatchedPlaces watched_places(std::string_view text, UniqueFd inotify);

}  // namespace holdfast::supervisor
