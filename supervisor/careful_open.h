// Opens files with no more rights than those have who could have put them there: a process of root's would else read
// any file to whoever may put a link into a directory of modules. And nothing but regular files: merely to open a
// device may have it do something.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/unique_fd.h"

namespace holdfast::supervisor {

// The rights of another user on files, for this thread, while the object is there. Only root can take them; for other
// processes nothing changes.
class RightsOnFiles {
 public:
  RightsOnFiles();
  ~RightsOnFiles();
  RightsOnFiles(const RightsOnFiles&) = delete;
  RightsOnFiles& operator=(const RightsOnFiles&) = delete;

  // From now on those of `user` with its groups. Those of root stay as they are for root.
  void take(uid_t user);
  // Whose they are, if those of root are given up.
  std::optional<uid_t> taken() const { return taken_; }

 private:
  const bool is_root_;
  std::vector<gid_t> groups_;  // of the process
  std::optional<uid_t> taken_;
};

// A directory in which files are opened with the rights of its owner. Where a link leads on, on the way to the
// directory or from it to a file, and belongs to another user than root, the rights are that user's.
class CarefulDirectory {
 public:
  explicit CarefulDirectory(const std::filesystem::path& path);

  // The regular file of this name, or that it leads to, for reading; else an errno value: EINVAL if it is another kind
  // of file.
  tl::expected<UniqueFd, int> open(const std::string& name) const;

 private:
  UniqueFd directory_;
  int error_ = 0;
  uid_t user_ = 0;  // whose rights count in it
};

}  // namespace holdfast::supervisor
