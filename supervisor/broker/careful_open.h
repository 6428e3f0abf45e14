// Opens a file with no more rights than the users have who could have put it there. Otherwise, a process of root
// would read any file for a user who may put a link into a directory of modules. Opens only regular files: merely
// opening a device may have an effect.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/unique_fd.h"

namespace holdfast::supervisor {

// Gives this thread another user's rights on files until the object is destroyed. Works for root only; a process of
// another user keeps its rights. The supplementary groups change for the whole process (setgroups(2)).
class RightsOnFiles {
 public:
  RightsOnFiles();
  ~RightsOnFiles();
  RightsOnFiles(const RightsOnFiles&) = delete;
  RightsOnFiles& operator=(const RightsOnFiles&) = delete;

  // Takes the rights of `user` and its groups. Does nothing if `user` is root, or if another user's rights are taken
  // already.
  void take(uid_t user);
  // The user whose rights are taken; nothing if none are.
  std::optional<uid_t> taken() const { return taken_; }

 private:
  const bool is_root_;
  std::vector<gid_t> groups_;  // of the process, to be restored
  std::optional<uid_t> taken_;
};

// A directory whose files are opened with the rights of one user: the owner of the first link on the way to the
// directory that does not belong to root, else the directory's owner. If that is root, the owner of the first link of
// another user on the way from the directory to the file.
class CarefulDirectory {
 public:
  explicit CarefulDirectory(const std::filesystem::path& path);

  // Opens the regular file of this name, or the one that a link of this name leads to, for reading. Fails with an
  // errno value; EINVAL: it is another kind of file.
  tl::expected<UniqueFd, int> open(const std::string& name) const;

 private:
  UniqueFd directory_;
  int error_ = 0;
  uid_t user_ = 0;  // whose rights count in it
};

}  // namespace holdfast::supervisor
