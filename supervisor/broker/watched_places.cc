#include "supervisor/broker/watched_places.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>
#include <system_error>
#include <utility>

namespace holdfast::supervisor {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kEventsOfFiles =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_MASK_ADD;
constexpr std::uint32_t kEventsOfParents =
    IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR | IN_MASK_ADD;

// How many links that lead to links are followed.
constexpr int kMostNestedLinks = 8;

fs::path or_here(const fs::path& path) { return path.empty() ? fs::path(".") : path; }

bool others_may_write(const fs::path& directory) {
  struct stat status;
  return ::stat(directory.c_str(), &status) != 0 || (status.st_mode & S_IWOTH) != 0;
}

// Each directory on the way to `path`, with its entry that leads on.
void add_ways(const fs::path& path, int links, std::set<std::pair<fs::path, std::string>>& ways) {
  fs::path parent;
  for (const fs::path& part : path) {
    if (part.empty() || part == "/" || part == "." || part == "..") {
      parent /= part;
      continue;
    }
    ways.emplace(or_here(parent), part.string());
    std::error_code no_link;
    const fs::path target = fs::read_symlink(parent / part, no_link);
    if (!no_link && links < kMostNestedLinks)
      add_ways(target.is_absolute() ? target : parent / target, links + 1, ways);
    parent /= part;
  }
}

// Takes the number off the front of the text, and the character that ends it.
template <typename Number>
Number take_number(std::string_view& text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(std::min(static_cast<std::size_t>(end - text.data()) + 1, text.size()));
  return number;
}

}  // namespace

tl::expected<WatchedPlaces, int> watch_places(const std::vector<fs::path>& directories) {
  WatchedPlaces watched;
  watched.inotify.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!watched.inotify) return tl::unexpected(errno);
  const int inotify = watched.inotify.get();
  for (std::size_t i = 0; i < directories.size(); ++i) {
    // The ways first: whatever is replaced from now on is seen.
    std::set<std::pair<fs::path, std::string>> ways;
    add_ways(directories[i], 0, ways);
    for (const auto& [parent, entry] : ways) {
      if (others_may_write(parent)) continue;
      const int watch = ::inotify_add_watch(inotify, parent.c_str(), kEventsOfParents);
      if (watch >= 0) watched.places.push_back({watch, i, entry});
    }
    const int watch = ::inotify_add_watch(inotify, or_here(directories[i]).c_str(), kEventsOfFiles);
    watched.errors.push_back(watch < 0 ? errno : 0);
    if (watch >= 0) watched.places.push_back({watch, i, ""});
  }
  return watched;
}

std::string to_text(const WatchedPlaces& watched) {
  std::string text;
  for (const int error : watched.errors) text += fmt::format("{} ", error);
  text += '\n';
  for (const WatchedPlace& place : watched.places) {
    text += fmt::format("{} {} {}", place.watch, place.directory, place.entry);
    text += '\0';
  }
  return text;
}

WatchedPlaces watched_places(std::string_view text, UniqueFd inotify) {
  WatchedPlaces watched;
  watched.inotify = std::move(inotify);
  while (!text.empty() && text.front() != '\n') watched.errors.push_back(take_number<int>(text));
  if (!text.empty()) text.remove_prefix(1);
  while (!text.empty()) {
    WatchedPlace place;
    place.watch = take_number<int>(text);
    place.directory = take_number<std::size_t>(text);
    const std::size_t end = std::min(text.find('\0'), text.size());
    place.entry = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    watched.places.push_back(std::move(place));
  }
  return watched;
}

}  // namespace holdfast::supervisor
