#include "tests/support/program.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "tests/support/as_nobody.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) FAIL(name, " is not set; run the tests by `meson test`");
  return value;
}

UniqueFd memory_file() { return UniqueFd(::memfd_create("holdfast-test", MFD_CLOEXEC)); }

std::string contents(const UniqueFd& file) {
  std::string text(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)), '\0');
  const ssize_t count = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return text;
}

// Makes SO_PASSRIGHTS unknown to this process and to every program that it starts.
bool hide_pass_rights() {
  constexpr unsigned kPassRights = 83;
  sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOL_SOCKET, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kPassRights, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {std::size(instructions), instructions};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

[[noreturn]] void become(const std::vector<char*>& arguments, const std::vector<char*>& environment,
                         const ProgramOptions& options, int input, int output, int errors) {
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  for (int fd : options.inherited) ::fcntl(fd, F_SETFD, 0);
  if (options.as_nobody && (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
                            ::setresuid(kNobody, kNobody, kNobody) != 0)) {
    ::_exit(126);
  }
  if (options.before_pass_rights && !hide_pass_rights()) ::_exit(126);
  if (options.before_exec && !options.before_exec()) ::_exit(126);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // after the change of ids, which would clear it
  ::execve(arguments[0], arguments.data(), environment.data());
  const std::string message = std::string("cannot start ") + arguments[0] + ": " + std::strerror(errno) + "\n";
  (void)!::write(STDERR_FILENO, message.data(), message.size());
  ::_exit(127);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (const std::string& text : texts) all.push_back(const_cast<char*>(text.c_str()));
  return all;
}

}  // namespace

std::string supervisor_program() { return from_environment("HOLDFAST_TEST_SUPERVISOR"); }
std::string worker_program() { return from_environment("HOLDFAST_TEST_WORKER"); }
std::string command_program() { return from_environment("HOLDFAST_TEST_COMMAND"); }
std::string attacker_program() { return from_environment("HOLDFAST_TEST_ATTACKER"); }
fs::path examples_folder() { return from_environment("HOLDFAST_TEST_EXAMPLES"); }

Program::Program(const std::vector<std::string>& command, const ProgramOptions& options)
    : output_(memory_file()), errors_(memory_file()) {
  const UniqueFd input = memory_file();
  REQUIRE(::write(input.get(), options.input.data(), options.input.size()) ==
          static_cast<ssize_t>(options.input.size()));
  ::lseek(input.get(), 0, SEEK_SET);
  std::vector<char*> arguments = pointers(command);
  arguments.push_back(nullptr);
  std::vector<char*> environment = pointers(options.environment);
  for (char** variable = environ; *variable != nullptr; ++variable) environment.push_back(*variable);
  environment.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0)
    become(arguments, environment, options, input.get(), output_.get(),
           options.errors < 0 ? errors_.get() : options.errors);
  REQUIRE(pid_ > 0);
}

Program::~Program() {
  if (status_ >= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Program::signal(int number) const {
  REQUIRE(status_ < 0);  // else the pid may belong to another process by now
  ::kill(pid_, number);
}

int Program::wait() {
  if (status_ >= 0) return status_;
  int status = 0;
  REQUIRE_MESSAGE(eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }),
                  "the program did not end; its standard error: ", errors());
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return status_;
}

std::string Program::output() const { return contents(output_); }
std::string Program::errors() const { return contents(errors_); }

Finished run(const std::vector<std::string>& command, const ProgramOptions& options) {
  Program program(command, options);
  const int status = program.wait();
  return {status, program.output(), program.errors()};
}

TemporaryFolder::TemporaryFolder() {
  std::string path = fs::temp_directory_path() / "holdfast-test-XXXXXX";
  REQUIRE(::mkdtemp(path.data()) != nullptr);
  path_ = path;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path TemporaryFolder::write(const std::string& name, const std::string& text) const {
  const fs::path path = path_ / name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

}  // namespace holdfast::test
