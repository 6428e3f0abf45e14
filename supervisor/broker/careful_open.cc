#include "supervisor/broker/careful_open.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <map>
#include <utility>

namespace holdfast::supervisor {
namespace {

namespace fs = std::filesystem;

// As many links as the kernel follows.
constexpr int kMostLinks = 40;
constexpr gid_t kNoGroup = 65534;

struct Groups {
  gid_t primary = kNoGroup;
  std::vector<gid_t> all;
};

// Asked for once: the server of the user database may be far away.
const Groups& groups_of(uid_t user) {
  static std::map<uid_t, Groups> known;
  const auto [entry, is_new] = known.try_emplace(user);
  if (!is_new) return entry->second;
  Groups& groups = entry->second;
  if (const passwd* found = ::getpwuid(user); found != nullptr) {
    groups.primary = found->pw_gid;
    int count = 64;
    groups.all.resize(static_cast<std::size_t>(count));
    if (::getgrouplist(found->pw_name, found->pw_gid, groups.all.data(), &count) < 0) {
      groups.all.resize(static_cast<std::size_t>(count));
      if (::getgrouplist(found->pw_name, found->pw_gid, groups.all.data(), &count) < 0) count = 0;
    }
    groups.all.resize(static_cast<std::size_t>(count));
  }
  return groups;
}

void append_parts(const fs::path& path, std::deque<std::string>& parts) {
  std::deque<std::string> first;
  for (const fs::path& part : path) {
    if (!part.empty() && part != "/") first.push_back(part.string());
  }
  parts.insert(parts.begin(), first.begin(), first.end());
}

UniqueFd open_place(int directory, const char* name) {
  return UniqueFd(::openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

struct Place {
  UniqueFd file;  // O_PATH
  struct stat status {};
};

// Follows `path` from `start` (null: from the current directory), one part after the other, so that no process can
// exchange a link that was looked at. Takes the rights of the owners of links. Fails with an errno value.
tl::expected<Place, int> follow(const UniqueFd* start, const fs::path& path, RightsOnFiles& rights) {
  std::deque<std::string> parts;
  append_parts(path, parts);
  Place at;
  at.file = path.is_absolute() ? open_place(AT_FDCWD, "/")
                               : (start == nullptr ? open_place(AT_FDCWD, ".") : open_place(start->get(), "."));
  if (!at.file || ::fstat(at.file.get(), &at.status) != 0) return tl::unexpected(errno);
  for (int links = 0; !parts.empty();) {
    const std::string part = std::move(parts.front());
    parts.pop_front();
    Place next;
    next.file = open_place(at.file.get(), part.c_str());
    if (!next.file || ::fstat(next.file.get(), &next.status) != 0) return tl::unexpected(errno);
    if (!S_ISLNK(next.status.st_mode)) {
      at = std::move(next);
      continue;
    }
    if (++links > kMostLinks) return tl::unexpected(ELOOP);
    std::array<char, PATH_MAX> target;
    const ssize_t length = ::readlinkat(next.file.get(), "", target.data(), target.size());
    if (length < 0) return tl::unexpected(errno);
    if (next.status.st_uid != 0) rights.take(next.status.st_uid);
    const fs::path leads_to(std::string(target.data(), static_cast<std::size_t>(length)));
    append_parts(leads_to, parts);
    if (!leads_to.is_absolute()) continue;
    at.file = open_place(AT_FDCWD, "/");
    if (!at.file || ::fstat(at.file.get(), &at.status) != 0) return tl::unexpected(errno);
  }
  return at;
}

}  // namespace

RightsOnFiles::RightsOnFiles() : is_root_(::geteuid() == 0) {}

RightsOnFiles::~RightsOnFiles() {
  if (!taken_) return;
  ::setfsuid(::geteuid());
  ::setfsgid(::getegid());
  (void)::setgroups(groups_.size(), groups_.data());
}

// The first user's rights stay: what a further user's link leads to can be opened only if the first user may see it.
void RightsOnFiles::take(uid_t user) {
  if (!is_root_ || user == 0 || taken_) return;
  taken_ = user;
  const int count = ::getgroups(0, nullptr);
  groups_.resize(static_cast<std::size_t>(std::max(count, 0)));
  groups_.resize(static_cast<std::size_t>(std::max(::getgroups(count, groups_.data()), 0)));
  const Groups& groups = groups_of(user);
  // In a user namespace where root may not do so, root has no more rights than others either.
  (void)::setgroups(groups.all.size(), groups.all.data());
  ::setfsgid(groups.primary);
  ::setfsuid(user);
}

CarefulDirectory::CarefulDirectory(const fs::path& path) {
  RightsOnFiles rights;
  auto place = follow(nullptr, path.empty() ? fs::path(".") : path, rights);
  if (!place) {
    error_ = place.error();
    return;
  }
  directory_ = std::move(place->file);
  user_ = rights.taken().value_or(place->status.st_uid);
}

tl::expected<UniqueFd, int> CarefulDirectory::open(const std::string& name) const {
  if (!directory_) return tl::unexpected(error_);
  RightsOnFiles rights;
  rights.take(user_);
  const auto place = follow(&directory_, name, rights);
  if (!place) return tl::unexpected(place.error());
  if (!S_ISREG(place->status.st_mode)) return tl::unexpected(EINVAL);
  UniqueFd file(::open(fmt::format("/proc/self/fd/{}", place->file.get()).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return tl::unexpected(errno);
  return file;
}

}  // namespace holdfast::supervisor
