#include "tests/support/daemon.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "ipc/base/process_signals.h"
#include "tests/support/as_nobody.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// Whether holdfastd wrote the newline of --ready-fd; false if it closed its end without writing.
bool became_ready(const UniqueFd& pipe) {
  pollfd wanted = {pipe.get(), POLLIN, 0};
  char byte = 0;
  return ::poll(&wanted, 1, static_cast<int>(std::chrono::milliseconds(kHangGuard).count())) == 1 &&
         ::read(pipe.get(), &byte, 1) == 1;
}

// Waits, as a child that was just replaced may take a moment to appear.
pid_t only_child_of(pid_t parent) {
  std::vector<pid_t> children;
  REQUIRE(eventually([&] { return (children = children_of(parent)).size() == 1; }));
  return children.front();
}

}  // namespace

Daemon::Daemon(DaemonOptions options) : folder_(options.folder ? options.folder : std::make_shared<TemporaryFolder>()) {
  adopt_orphans();
  fs::create_directory(folder_->path() / "modules");
  for (const Module& module : options.modules) add_module(module);
  const bool as_nobody = ::geteuid() == 0 && (options.as_nobody || is_for_nobody());
  if (as_nobody) REQUIRE(::chown(folder_->path().c_str(), kNobody, kNobody) == 0);

  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd ready(ends[0]);
  UniqueFd theirs(ends[1]);
  const auto startable = [&](const std::string& program) { return as_nobody ? startable_by_nobody(program) : program; };
  std::vector<std::string> command = {startable(options.supervisor.empty() ? supervisor_program() : options.supervisor),
                                      "--socket",
                                      socket_path(),
                                      "--modules",
                                      folder_->path() / "modules",
                                      "--worker",
                                      startable(options.worker.empty() ? worker_program() : options.worker),
                                      "--ready-fd",
                                      std::to_string(theirs.get())};
  if (!options.holds_off) command.insert(command.end(), {"--hold-off", "0s"});
  const auto set_unless_given = [&](const char* flag, const char* value) {
    if (std::ranges::find(options.flags, flag) == options.flags.end()) command.insert(command.end(), {flag, value});
  };
  // Everything takes longer on a busy machine, and tests that fill slots with waiting calls need them to stay there.
  // Tests of endless functions should set a shorter stretch.
  set_unless_given("--waiting-grace", "1h");
  set_unless_given("--stretch", "10s");
  set_unless_given("--timeout", "5m");
  command.insert(command.end(), options.flags.begin(), options.flags.end());
  program_ = std::make_unique<Program>(command, ProgramOptions{.inherited = {theirs.get()},
                                                               .as_nobody = as_nobody,
                                                               .before_pass_rights = options.before_pass_rights,
                                                               .errors = options.errors,
                                                               .before_exec = options.before_exec});
  theirs.reset();
  REQUIRE_MESSAGE(became_ready(ready), "holdfastd did not start; its log: ", log());
  server_ = only_child_of(monitor());
}

void Daemon::signal(int number) const {
  if (std::ranges::find(ipc::kSupervisorsSignals, number) != std::end(ipc::kSupervisorsSignals)) {
    return program_->signal(number);
  }
  ::kill(server_, number);
}

Daemon::~Daemon() { logs_of_this_test() += log(); }

std::string& logs_of_this_test() {
  static std::string logs;
  return logs;
}

pid_t Daemon::broker() const { return only_child_of(pid()); }
pid_t Daemon::launcher() const { return only_child_of(broker()); }
pid_t Daemon::zygote() const { return only_child_of(launcher()); }

std::vector<pid_t> Daemon::workers() const { return children_of(zygote()); }

void Daemon::add_module(const Module& module) const {
  folder_->write(fmt::format("modules/{}-{}.js", module.name, module.version), module.code);
}

ipc::Client Daemon::connect() const {
  auto client = ipc::Client::connect(socket_path(), {.name = "test"});
  REQUIRE_MESSAGE(client.has_value(), "cannot connect: ", client ? "" : client.error().message);
  return std::move(*client);
}

bool Daemon::logged(const std::string& text) const {
  return eventually([&] { return log().find(text) != std::string::npos; });
}

void Daemon::stop() {
  signal(SIGTERM);
  CHECK(wait() == 0);
  check_nothing_is_left();
}

void Daemon::check_nothing_is_left() const {
  CHECK(eventually([] { return descendants_of(::getpid()).empty(); }));
  CHECK_FALSE(fs::exists(socket_path()));
  CHECK_FALSE(fs::exists(socket_path() + ".lock"));
}

}  // namespace holdfast::test
