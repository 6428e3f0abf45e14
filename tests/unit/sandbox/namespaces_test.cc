#include "sandbox/namespaces.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/skips.h"
#include "tests/unit/sandbox/test_support.h"

using namespace holdfast::sandbox;
using namespace holdfast::sandbox::test;

namespace {

// Runs the body in a worker's namespaces without capabilities, but without its seccomp filter.
Ending run_sealed_without_privileges(Caller caller, const Body& body) {
  return start_sealed(caller,
                      [&](SharedNotes& notes) {
                        require(notes, drop_privileges());
                        run_and_leave(notes, body);
                      })
      .finish();
}

long connect_to(sockaddr* address, socklen_t size) {
  const int fd = socket(address->sa_family, SOCK_STREAM, 0);
  return fd < 0 ? -1 : connect(fd, address, size);
}

long connect_to_internet(const char* host) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(53);
  inet_pton(AF_INET, host, &address.sin_addr);
  return connect_to(reinterpret_cast<sockaddr*>(&address), sizeof address);
}

// A listening abstract Unix socket of the host. It has no path, so only the network namespace hides it.
struct AbstractListener {
  AbstractListener() {
    address.sun_family = AF_UNIX;
    const std::string name = "holdfast-test-" + std::to_string(getpid());
    name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bound = bind(fd, get(), size) == 0 && listen(fd, 8) == 0;
  }
  AbstractListener(const AbstractListener&) = delete;
  AbstractListener& operator=(const AbstractListener&) = delete;
  ~AbstractListener() { close(fd); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&address); }

  sockaddr_un address{};
  socklen_t size = 0;
  int fd = -1;
  bool bound = false;
};

std::string status_line(pid_t pid, std::string_view field) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return line.substr(field.size());
  }
  return "no such line";
}

}  // namespace

TEST_CASE("the launcher's child is process 1, and nobody") {
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed(caller, [] {
      return std::to_string(getpid()) + " " + std::to_string(getppid()) + " " + std::to_string(getuid()) + " " +
             std::to_string(geteuid()) + " " + std::to_string(getgid()) + " " + std::to_string(getegid());
    });
    INFO(name(caller));
    CHECK(ending.exited(0));
    CHECK(ending.said == "1 0 65534 65534 65534 65534");
  }
}

TEST_CASE("started by root, the sandbox is nobody outside too, without root's groups" * holdfast::test::needs_root()) {
  SocketPair sockets;
  RunningChild child = start_child(Caller::itself, [&](SharedNotes& notes) {
    require(notes, enter_namespaces());
    send(sockets.theirs, "x", 1, 0);
    char byte;
    recv(sockets.theirs, &byte, 1, 0);
  });
  sockets.close_theirs();
  char byte;
  REQUIRE(recv(sockets.mine, &byte, 1, 0) == 1);
  CHECK(status_line(child.pid(), "Uid:") == "\t65534\t65534\t65534\t65534");
  CHECK(status_line(child.pid(), "Gid:") == "\t65534\t65534\t65534\t65534");
  CHECK(status_line(child.pid(), "Groups:").find_first_of("0123456789") == std::string::npos);
  REQUIRE(send(sockets.mine, "x", 1, 0) == 1);
  CHECK(child.finish().exited(0));
}

TEST_CASE("the root directory is empty") {
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed(caller, [] {
      std::string names;
      DIR* const root = opendir("/");
      if (root == nullptr) return std::string("cannot be read");
      while (const dirent* const entry = readdir(root)) {
        const std::string_view entry_name = entry->d_name;
        if (entry_name != "." && entry_name != "..") names += std::string(entry_name) + " ";
      }
      closedir(root);
      return names;
    });
    INFO(name(caller));
    CHECK(ending.exited(0));
    CHECK(ending.said.empty());
  }
}

TEST_CASE("nothing can be made in the root directory, even with every capability inside") {
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed(caller, [] {
      return in_order({outcome(mkdir("/made", 0700)), outcome(open("/made", O_CREAT | O_WRONLY, 0600)),
                       outcome(mknod("/made", S_IFCHR | 0600, 0x103))});
    });
    INFO(name(caller));
    CHECK(ending.exited(0));
    CHECK(ending.said == "EROFS EROFS EROFS");
  }
}

TEST_CASE("no path of the host resolves, and no way up leads out") {
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed_without_privileges(caller, [] {
      for (const char* path : {"/proc", "/proc/self/exe", "/etc/passwd", "/bin/sh", "/dev/null", "/tmp", "/sys"}) {
        if (access(path, F_OK) == 0 || errno != ENOENT) return std::string(path);
      }
      for (int i = 0; i < 16; ++i) {
        if (chdir("..") != 0) return std::string("chdir");
      }
      return in_order({outcome(access("etc", F_OK)), outcome(chroot(".")),
                       outcome(mount(nullptr, "/", nullptr, MS_REMOUNT, nullptr)),
                       outcome(mount("none", "/", "tmpfs", 0, nullptr)), outcome(umount("/"))});
    });
    INFO(name(caller));
    CHECK(ending.exited(0));
    CHECK(ending.said == "ENOENT EPERM EPERM EPERM EPERM");
  }
}

TEST_CASE("the only network device is a loopback that is down, and nothing can be reached") {
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed(caller, [] {
      const int fd = socket(AF_INET, SOCK_DGRAM, 0);
      std::string devices;
      struct if_nameindex* const all = if_nameindex();
      for (struct if_nameindex* device = all; device != nullptr && device->if_index != 0; ++device) {
        ifreq request{};
        std::strncpy(request.ifr_name, device->if_name, IFNAMSIZ - 1);
        if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) return std::string("ioctl");
        devices += std::string(device->if_name) + ((request.ifr_flags & IFF_UP) != 0 ? " up " : " down ");
      }
      if_freenameindex(all);
      return devices + in_order({outcome(connect_to_internet("127.0.0.1")), outcome(connect_to_internet("192.0.2.1"))});
    });
    INFO(name(caller));
    CHECK(ending.exited(0));
    // The kernel may add its own tunnel fallback devices, all of them down.
    CHECK(ending.said.starts_with("lo down "));
    CHECK(ending.said.find(" up ") == std::string::npos);
    CHECK(ending.said.ends_with("ENETUNREACH ENETUNREACH"));
  }
}

TEST_CASE("the host's abstract Unix sockets cannot be reached") {
  AbstractListener listener;
  REQUIRE(listener.bound);
  REQUIRE(run_child(Caller::itself, [&] { return outcome(connect_to(listener.get(), listener.size)); }).said == "ok");
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed(caller, [&] { return outcome(connect_to(listener.get(), listener.size)); });
    INFO(name(caller));
    CHECK(ending.said == "ECONNREFUSED");
  }
}

TEST_CASE("the host's shared memory segments cannot be found") {
  const key_t key = 0x1f5a0000 | (getpid() & 0xffff);
  const int segment = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0666);
  REQUIRE(segment >= 0);
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed(caller, [&] { return outcome(shmget(key, 0, 0)); });
    INFO(name(caller));
    CHECK(ending.said == "ENOENT");
  }
  shmctl(segment, IPC_RMID, nullptr);
}

TEST_CASE("no process of the host can be signalled or named") {
  const pid_t host = getpid();
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed(caller, [&] { return in_order({outcome(kill(host, 0)), outcome(kill(-1, 0))}); });
    INFO(name(caller));
    // A small pid of the host may also exist inside, but only process 1 is there.
    CHECK(ending.said == (host == 1 ? "ok ESRCH" : "ESRCH ESRCH"));
  }
}

TEST_CASE("the host's name is not told") {
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed(caller, [] {
      utsname names{};
      uname(&names);
      return std::string(names.nodename) + "/" + names.domainname;
    });
    INFO(name(caller));
    CHECK(ending.said == "holdfast/");
  }
}

TEST_CASE("inside, no other id can be taken, even with every capability") {
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed(caller, [] {
      const gid_t root = 0;
      return in_order({outcome(setresuid(0, 0, 0)), outcome(setresgid(0, 0, 0)), outcome(setgroups(1, &root))});
    });
    INFO(name(caller));
    CHECK(ending.said == "EINVAL EINVAL EPERM");
  }
}

TEST_CASE("no further user namespace can be made to regain capabilities") {
  for (const Caller caller : callers()) {
    const Ending ending = run_sealed_without_privileges(caller, [] { return outcome(unshare(CLONE_NEWUSER)); });
    INFO(name(caller));
    CHECK(ending.said == "EPERM");
  }
}

TEST_CASE("a host that allows no user namespaces is told which setting to change") {
  const Ending ending = run_child(callers().back(), [] {
    // A user namespace of the test's own imitates such a host.
    if (unshare(CLONE_NEWUSER) != 0) return std::string("unshare");
    std::ofstream("/proc/sys/user/max_user_namespaces") << "0" << std::flush;
    const SetupResult done = enter_namespaces();
    return done ? "entered" : done.error().layer + ": " + done.error().message;
  });
  INFO(ending.said);
  CHECK(ending.exited(0));
  CHECK(ending.said.starts_with("namespaces: unshare"));
  CHECK(ending.said.find("user.max_user_namespaces") != std::string::npos);
}

TEST_CASE("a caller with a second thread is refused and told why") {
  const Ending ending = run_child(callers().back(), [] {
    std::atomic<bool> done = false;
    std::thread second([&] {
      while (!done) sched_yield();
    });
    const SetupResult entered = enter_namespaces();
    done = true;
    second.join();
    return entered ? "entered" : entered.error().message;
  });
  INFO(ending.said);
  CHECK(ending.exited(0));
  CHECK(ending.said.find("one thread") != std::string::npos);
}

TEST_CASE("the root of a caller that could enter no namespaces stays as it is") {
  // Root of a container that maps only its own id: it may mount, but cannot become nobody.
  const Ending ending =
      start_child(Caller::itself, [](SharedNotes& notes) {
        const uid_t outside = geteuid();
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(kNotPrepared);
        std::ofstream("/proc/self/uid_map") << "0 " << outside << " 1";
        run_and_leave(notes, [] {
          if (enter_namespaces()) return std::string("entered");
          const bool sealed = seal_root().has_value();
          return std::string(sealed ? "sealed, " : "not sealed, ") + outcome(access("/proc/self/status", F_OK));
        });
      }).finish();
  CHECK(ending.said == "not sealed, ok");
}
