// Runs a part of a test in a child process, behind the sandbox layers that the test is about, and reports how the child
// ended and what it said.
//
// A child speaks through a shared page of memory, which takes no descriptor and no system call: even a fully locked
// child can speak.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/limits.h"
#include "sandbox/namespaces.h"
#include "sandbox/privileges.h"
#include "sandbox/process_state.h"
#include "sandbox/seccomp_policy.h"
#include "sandbox/setup_error.h"

namespace holdfast::sandbox::test {

// The user that starts the child. A test that runs as root also plays an ordinary user (nobody); an ordinary user can
// only be itself.
enum class Caller { itself, nobody };

inline std::vector<Caller> callers() {
  if (geteuid() == 0) return {Caller::itself, Caller::nobody};
  return {Caller::itself};
}

inline std::string_view name(Caller caller) { return caller == Caller::itself ? "as started" : "as nobody"; }

// The exit status of a child that could not be prepared; it says why.
inline constexpr int kNotPrepared = 99;

struct Ending {
  int wait_status = 0;
  std::string said;

  bool exited(int code) const { return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == code; }
  bool killed_by(int signal) const { return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == signal; }
};

// Memory that the parent, the child and all processes in between share.
class SharedNotes {
 public:
  static SharedNotes& create() {
    void* page = mmap(nullptr, sizeof(SharedNotes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) std::abort();
    return *new (page) SharedNotes;
  }
  static void release(SharedNotes& notes) { munmap(&notes, sizeof(SharedNotes)); }

  void say(std::string_view text) {
    const std::size_t count = std::min(text.size(), sizeof text_ - length_);
    std::memcpy(text_ + length_, text.data(), count);
    length_ += count;
  }
  std::string said() const { return std::string(text_, length_); }

  // The wait status of the innermost process, which its parent inside stores.
  std::atomic<int> inner_status{-1};

 private:
  std::atomic<std::size_t> length_{0};
  char text_[16384];
};

// Runs in the child. The child says the text that it returns, and exits with 0.
using Body = std::function<std::string()>;

// _exit(2) in a form that the compiler does not know to be noreturn: before a noreturn call the address sanitizer looks
// up the alternate signal stack, by a system call that no policy grants.
inline void leave(int code) { syscall(SYS_exit_group, code); }

inline void run_and_leave(SharedNotes& notes, const Body& body) {
  notes.say(body());
  leave(0);
}

inline void require(SharedNotes& notes, const SetupResult& done) {
  if (done) return;
  notes.say(done.error().layer + ": " + done.error().message);
  _exit(kNotPrepared);
}

inline int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// A running child; finish() waits for its end.
class RunningChild {
 public:
  RunningChild(pid_t pid, SharedNotes& notes) : pid_(pid), notes_(&notes) {}

  // The child's pid; with namespaces, the launcher's.
  pid_t pid() const { return pid_; }

  Ending finish() {
    const int outer = wait_for(pid_);
    const int inner = notes_->inner_status;
    Ending ending{inner >= 0 ? inner : outer, notes_->said()};
    SharedNotes::release(*notes_);
    return ending;
  }

 private:
  pid_t pid_;
  SharedNotes* notes_;
};

inline void become(Caller caller) {
  if (caller != Caller::nobody) return;
  if (setgroups(0, nullptr) != 0 || setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) {
    _exit(kNotPrepared);
  }
}

// Starts a plain child of `caller`, with default signal dispositions and without any layer.
inline RunningChild start_child(Caller caller, const std::function<void(SharedNotes&)>& child) {
  SharedNotes& notes = SharedNotes::create();
  const pid_t pid = fork();
  if (pid == 0) {
    require(notes, reset_signals());
    become(caller);
    child(notes);
    _exit(0);
  }
  return {pid, notes};
}

inline Ending run_child(Caller caller, const Body& body) {
  return start_child(caller, [&](SharedNotes& notes) { run_and_leave(notes, body); }).finish();
}

// Forks. The child returns; the parent waits for its end and records it.
inline void continue_in_fork(SharedNotes& notes) {
  const pid_t pid = fork();
  if (pid == 0) return;
  const int status = wait_for(pid);
  if (notes.inner_status < 0) notes.inner_status = status;
  _exit(0);
}

// Starts process 1 behind enter_namespaces() and seal_root(), with every capability inside.
inline RunningChild start_sealed(Caller caller, const std::function<void(SharedNotes&)>& body) {
  return start_child(caller, [&](SharedNotes& notes) {
    require(notes, enter_namespaces());
    continue_in_fork(notes);
    require(notes, seal_root());
    body(notes);
  });
}

inline Ending run_sealed(Caller caller, const Body& body) {
  return start_sealed(caller, [&](SharedNotes& notes) { run_and_leave(notes, body); }).finish();
}

// Starts a plain child with no_new_privs and the system calls of `profile`, without other layers.
inline RunningChild start_filtered(Caller caller, Profile profile, const Body& body) {
  return start_child(caller, [&](SharedNotes& notes) {
    require(notes, drop_privileges());
    const auto program = compile(policy(profile));
    if (!program) require(notes, tl::unexpected(program.error()));
    require(notes, load(*program));
    run_and_leave(notes, body);
  });
}

inline Ending run_filtered(Caller caller, Profile profile, const Body& body) {
  return start_filtered(caller, profile, body).finish();
}

// Starts a worker behind every layer, as the zygote does; `socket` becomes its kKeptDescriptor.
inline RunningChild start_worker(Caller caller, Profile profile, const ResourceLimits& limits, int socket,
                                 const Body& body) {
  return start_child(caller, [&](SharedNotes& notes) {
    // The launcher and process 1 must not keep the test's end of the socket open.
    require(notes, close_all_descriptors_except(socket));
    require(notes, enter_namespaces());
    continue_in_fork(notes);
    require(notes, seal_root());
    require(notes, drop_privileges());
    const auto program = compile(policy(profile));
    if (!program) require(notes, tl::unexpected(program.error()));
    continue_in_fork(notes);
    require(notes, die_with_parent(SIGKILL));
    require(notes, new_session());
    require(notes, reset_signals());
    require(notes, close_all_descriptors_except(kKeptDescriptor));
    require(notes, apply_limits(limits));
    require(notes, load(*program));
    run_and_leave(notes, body);
  });
}

struct SocketPair {
  SocketPair() {
    int both[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) != 0) std::abort();
    mine = both[0];
    theirs = both[1];
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  ~SocketPair() {
    close_mine();
    close_theirs();
  }
  void close_mine() { close_end(mine); }
  void close_theirs() { close_end(theirs); }

  int mine = -1;
  int theirs = -1;

 private:
  static void close_end(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
};

// "ok" for a call that succeeded, else the name of its errno.
inline std::string outcome(long result) { return result >= 0 ? "ok" : strerrorname_np(errno); }

// Several outcomes in one line. Braces guarantee that the calls happen in order.
inline std::string in_order(std::initializer_list<std::string> outcomes) {
  std::string line;
  for (const std::string& each : outcomes) line += (line.empty() ? "" : " ") + each;
  return line;
}

}  // namespace holdfast::sandbox::test
