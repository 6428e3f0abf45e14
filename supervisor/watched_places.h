// What has to be watched for the files of some directories to be seen changing (inotify(7)): the directories, and the
// places where another directory could take their place: their parents, and the parents of links on the way to them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/unique_fd.h"

namespace holdfast::supervisor {

struct WatchedPlace {
  int watch = 0;              // the kernel's number
  std::size_t directory = 0;  // its place in the list of directories
  std::string entry;          // empty: the directory itself; else what of this parent matters to it
};

struct WatchedPlaces {
  UniqueFd inotify;  // does not block
  std::vector<WatchedPlace> places;
  // For each directory 0, or the errno value with which it could not be watched.
  std::vector<int> errors;
};

// Watches them all anew; an errno value if there is no inotify to be had. A parent to which every user may write is
// left out: strangers could keep the reader busy.
tl::expected<WatchedPlaces, int> watch_places(const std::vector<std::filesystem::path>& directories);

// All but the descriptor as text, to be sent by one process of the supervisor to another. The text is trusted.
std::string to_text(const WatchedPlaces& watched);
WatchedPlaces watched_places(std::string_view text, UniqueFd inotify);

}  // namespace holdfast::supervisor
