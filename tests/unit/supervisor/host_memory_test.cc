// The host's memory as computed from the kernel's files, with folders that imitate them.
#include "supervisor/workers/host_memory.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/supervisor/test_support.h"

namespace holdfast::supervisor {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

constexpr std::uint64_t kMega = 1 << 20;

// A host with 8 GB available.
struct Host {
  explicit Host(const std::string& cgroup) {
    write("proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n");
    write("proc/self/cgroup", cgroup);
  }
  void write(const std::string& path, const std::string& text) const {
    const fs::path file = folder.path() / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::uint64_t megabytes() const { return available_memory(folder.path() / "proc", folder.path() / "cgroup") / kMega; }
  TemporaryFolder folder;
};

std::string megabytes(std::uint64_t count) { return std::to_string(count * kMega) + "\n"; }

TEST_CASE("without cgroups all available memory of the host counts") {
  const Host host("");
  CHECK(host.megabytes() == 8192);
}

TEST_CASE(
    "the limit of a cgroup of version 2 counts, that of one above it, and the one at which the kernel slows down") {
  const Host host("0::/system.slice/holdfast.service\n");
  const std::string own = "cgroup/system.slice/holdfast.service/";
  host.write(own + "memory.max", "max\n");
  host.write(own + "memory.high", "max\n");
  host.write(own + "memory.current", megabytes(100));
  CHECK(host.megabytes() == 8192);
  host.write(own + "memory.max", megabytes(1100));
  CHECK(host.megabytes() == 1000);
  host.write(own + "memory.high", megabytes(600));
  CHECK(host.megabytes() == 500);
  host.write("cgroup/system.slice/memory.max", megabytes(2000));
  host.write("cgroup/system.slice/memory.current", megabytes(1700));
  CHECK(host.megabytes() == 300);
  // Cached files, which the kernel drops when memory is needed.
  host.write("cgroup/system.slice/memory.stat", "anon 1\nfile 2\ninactive_file " + megabytes(100));
  CHECK(host.megabytes() == 400);
  host.write("cgroup/system.slice/memory.current", megabytes(5000));
  CHECK(host.megabytes() == 0);
}

TEST_CASE("in a container the cgroup is the root of what is seen, whatever its path is called outside") {
  const Host host("0::/docker/0123\n");
  host.write("cgroup/memory.max", megabytes(512));
  host.write("cgroup/memory.current", megabytes(12));
  CHECK(host.megabytes() == 500);
}

TEST_CASE("the limit of a cgroup of version 1 counts, and that of one above it") {
  const Host host("9:name=systemd:/\n4:cpu,memory:/rt/one\n0::/\n");
  host.write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  host.write("cgroup/memory/memory.usage_in_bytes", megabytes(3000));
  host.write("cgroup/memory/rt/one/memory.limit_in_bytes", "9223372036854771712\n");
  host.write("cgroup/memory/rt/one/memory.usage_in_bytes", megabytes(10));
  CHECK(host.megabytes() == 8192);
  host.write("cgroup/memory/rt/memory.limit_in_bytes", megabytes(2048));
  host.write("cgroup/memory/rt/memory.usage_in_bytes", megabytes(48));
  CHECK(host.megabytes() == 2000);
  host.write("cgroup/memory/rt/memory.stat", "inactive_file 1\ntotal_inactive_file " + megabytes(8));
  CHECK(host.megabytes() == 2008);
}

TEST_CASE("the memory of a process includes its page tables and swapped pages") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("status",
                                     "Name:\tworker\nVmRSS:\t   90000 kB\nRssAnon:\t   1000 kB\nRssFile:\t  80000 kB\n"
                                     "VmPTE:\t     30 kB\nVmSwap:\t    200 kB\n");
  CHECK(held_memory(UniqueFd(::open(file.c_str(), O_RDONLY | O_CLOEXEC))) == 1230 * 1024);
  CHECK(held_memory(UniqueFd(::open("/proc/self/status", O_RDONLY | O_CLOEXEC))) > 0);
  CHECK(held_memory(UniqueFd()) == 0);
}

}  // namespace
}  // namespace holdfast::supervisor
