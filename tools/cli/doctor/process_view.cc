#include "tools/cli/doctor/process_view.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "ipc/base/pidfd.h"

namespace holdfast::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNamespaces[] = {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"};

std::string_view without_space(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

std::map<std::string, std::string> read_status(const std::string& folder) {
  std::map<std::string, std::string> fields;
  std::ifstream file(folder + "/status");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos)
      fields[line.substr(0, colon)] = without_space(std::string_view(line).substr(colon + 1));
  }
  return fields;
}

// The file has columns of fixed width: the name, the soft limit, the hard limit.
std::map<std::string, std::pair<std::string, std::string>> read_limits(const std::string& folder) {
  constexpr std::size_t kNameWidth = 26;
  std::map<std::string, std::pair<std::string, std::string>> limits;
  std::ifstream file(folder + "/limits");
  for (std::string line; std::getline(file, line);) {
    if (line.size() < kNameWidth || !line.starts_with("Max ")) continue;
    std::istringstream values(line.substr(kNameWidth));
    auto& [soft, hard] = limits[std::string(without_space(line.substr(0, kNameWidth)))];
    values >> soft >> hard;
  }
  return limits;
}

std::string kind_of(const std::string& link) { return link.substr(0, link.find(':')); }

std::string kind_of(const UniqueFd& fd) {
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return "unknown";
  return S_ISSOCK(status.st_mode) ? "socket" : "other";
}

// If a process is not dumpable, only root may list its folder of descriptors; its owner can still fetch each
// descriptor by number (pidfd_getfd(2)).
std::optional<std::vector<std::string>> read_descriptors(const std::string& folder, pid_t pid) {
  std::vector<std::string> found;
  std::error_code error;
  fs::directory_iterator list(folder + "/fd", error);
  if (!error) {
    for (const auto& entry : list) found.push_back(kind_of(fs::read_symlink(entry, error).string()));
    // The kernel shows the names even to processes that may not read the links.
    if (error) return std::nullopt;
    return found;
  }
  constexpr int kNumbers = 256;
  const UniqueFd process = open_pidfd(pid);
  for (int number = 0; process && number < kNumbers; ++number) {
    const UniqueFd fetched(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
    if (fetched) found.push_back(kind_of(fetched));
    if (!fetched && errno != EBADF) return std::nullopt;
  }
  return found;
}

std::optional<std::vector<Mapping>> read_mappings(const std::string& folder) {
  std::ifstream file(folder + "/smaps");
  std::vector<Mapping> mappings;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmFlags:")) {
      if (!mappings.empty()) mappings.back().sealed = (line + " ").find(" sl ") != std::string::npos;
      continue;
    }
    std::istringstream words(line);
    std::string range, permissions, offset, device, inode, path;
    words >> range >> permissions >> offset >> device >> inode;
    if (range.find('-') == std::string::npos || permissions.size() != 4) continue;
    std::getline(words, path);
    mappings.push_back({permissions, std::string(without_space(path))});
  }
  if (mappings.empty()) return std::nullopt;
  return mappings;
}

// The fields of /proc/PID/stat after the name in parentheses; the first is field 3 of proc(5).
std::vector<std::string> read_stat(const std::string& folder) {
  std::ifstream file(folder + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t end_of_name = line.rfind(')');
  std::vector<std::string> fields;
  if (end_of_name == std::string::npos) return fields;
  std::istringstream words(line.substr(end_of_name + 1));
  for (std::string word; words >> word;) fields.push_back(word);
  return fields;
}

// Field `number` of proc(5), counted from 1.
std::string stat_field(const std::vector<std::string>& fields, std::size_t number) {
  constexpr std::size_t kFirst = 3;
  return number - kFirst < fields.size() ? fields[number - kFirst] : "";
}

// Reads the process's memory, because the environ file of a process that is not dumpable belongs to root.
std::optional<bool> read_has_environment(const std::vector<std::string>& stat, pid_t pid) {
  const std::string begin = stat_field(stat, 50), end = stat_field(stat, 51);
  if (begin.empty() || begin == "0" || end.empty()) return std::nullopt;
  const std::uint64_t from = std::stoull(begin);
  std::string bytes(std::stoull(end) - from, '\1');
  iovec here = {bytes.data(), bytes.size()};
  iovec there = {reinterpret_cast<void*>(from), bytes.size()};
  if (::process_vm_readv(pid, &here, 1, &there, 1, 0) != static_cast<ssize_t>(bytes.size())) return std::nullopt;
  return bytes.find_first_not_of('\0') != std::string::npos;
}

std::string first_word(const char* path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

// Whether an id map (user_namespaces(7)) is that of the initial user namespace.
bool has_every_id(const char* map) {
  std::ifstream file(map);
  std::uint64_t inside = 1, outside = 1, count = 0;
  return file >> inside >> outside >> count && inside == 0 && outside == 0 && count == 0xFFFFFFFF;
}

}  // namespace

std::string ProcessView::field(const std::string& name) const {
  const auto found = status.find(name);
  return found == status.end() ? "" : found->second;
}

ProcessView look_at_process(pid_t pid) {
  const std::string folder = fmt::format("/proc/{}", pid);
  ProcessView view;
  view.status = read_status(folder);
  view.limits = read_limits(folder);
  std::error_code error;
  for (const char* kind : kNamespaces) {
    const auto link = fs::read_symlink(fmt::format("{}/ns/{}", folder, kind), error);
    if (!error) view.namespaces[kind] = link;
  }
  view.descriptors = read_descriptors(folder, pid);
  view.mappings = read_mappings(folder);
  const auto stat = read_stat(folder);
  view.has_environment = read_has_environment(stat, pid);
  if (!stat.empty()) view.has_terminal = stat_field(stat, 7) != "0";
  const fs::directory_iterator root(folder + "/root/", error);
  if (!error) view.root_is_empty = root == fs::directory_iterator();
  struct statvfs file_system;
  if (::statvfs((folder + "/root/").c_str(), &file_system) == 0) {
    view.root_is_read_only = (file_system.f_flag & ST_RDONLY) != 0;
  }
  // The files of a process that is not dumpable belong to root (proc(5)).
  struct ::stat status;
  const std::string uid = view.field("Uid").substr(0, view.field("Uid").find('\t'));
  if (::stat((folder + "/status").c_str(), &status) == 0 && !uid.empty() && uid != "0") {
    const bool is_its_own = std::to_string(status.st_uid) == uid;
    // An id without a number in this user namespace is shown as the overflow id (user_namespaces(7)).
    view.owner_is_ambiguous =
        is_its_own && uid == first_word("/proc/sys/kernel/overflowuid") && !has_every_id("/proc/self/uid_map");
    if (!view.owner_is_ambiguous) view.is_dumpable = is_its_own;
  }
  return view;
}

pid_t pid_in_proc(pid_t pid) {
  const UniqueFd process = open_pidfd(pid);
  std::ifstream file(fmt::format("/proc/self/fdinfo/{}", process.get()));
  for (std::string word; file >> word;) {
    pid_t number = 0;
    if (word == "Pid:" && file >> number) return std::max(number, 0);
  }
  return 0;
}

}  // namespace holdfast::cli
