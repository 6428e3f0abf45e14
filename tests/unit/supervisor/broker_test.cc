// The broker: what it does for a supervisor, and what it refuses to a compromised one.
#include "supervisor/broker/broker.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "ipc/base/pidfd.h"
#include "ipc/packet.h"
#include "ipc/worker_messages.h"
#include "supervisor/broker/broker_process.h"
#include "supervisor/modules/module_source.h"
#include "supervisor/settings/settings_file.h"
#include "tests/unit/supervisor/test_support.h"

namespace holdfast::supervisor {
namespace {

using testing::TemporaryFolder;

std::string contents(const UniqueFd& file) {
  std::string text(100, '\0');
  const ssize_t count = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return text;
}

bool becomes_readable(const UniqueFd& fd) {
  pollfd wanted = {fd.get(), POLLIN, 0};
  return ::poll(&wanted, 1, 10'000) == 1;
}

std::unique_ptr<Broker> start(Broker::Duties duties) {
  auto broker = Broker::start(std::move(duties));
  REQUIRE(broker.has_value());
  return std::move(*broker);
}

struct ControlPair {
  ControlPair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    ours.reset(ends[0]);
    theirs.reset(ends[1]);
  }
  UniqueFd ours, theirs;
};

TEST_CASE("the broker opens the files of modules, and tells why it cannot") {
  const TemporaryFolder folder;
  folder.write("sum-v1.js", "the source");
  const ModuleSources sources(folder.path());
  const auto broker = start({.open_module = [&](const ModuleName& name) { return sources.open(name); }});
  const auto file = broker->open_module({"sum", "v1"});
  REQUIRE(file.has_value());
  CHECK(contents(file->file) == "the source");
  CHECK(broker->open_module({"sum", "v2"}).error() == ENOENT);
}

TEST_CASE("the broker tells which ending a module's file has, and opens none of several") {
  const TemporaryFolder folder;
  folder.write("sum-v1.mjs", "the source");
  const ModuleSources sources(folder.path());
  const auto broker = start({.open_module = [&](const ModuleName& name) { return sources.open(name); }});
  const auto file = broker->open_module({"sum", "v1"});
  REQUIRE(file.has_value());
  CHECK(kModuleFileEndings[static_cast<std::size_t>(std::countr_zero(file->endings))] == ".mjs");
  CHECK(contents(file->file) == "the source");
  folder.write("sum-v1.js", "another");
  const auto several = broker->open_module({"sum", "v1"});
  REQUIRE(several.has_value());
  CHECK(several->is_one_of_several());
  CHECK_FALSE(several->file);
}

TEST_CASE("the broker opens the settings file that is in its place now, and no other") {
  const TemporaryFolder folder;
  const SettingsFile settings(folder.write("settings.toml", "old"), {}, 1);
  const auto broker = start({.open_settings = [&] { return settings.open(); }});
  CHECK(contents(broker->open_settings().value()) == "old");
  std::filesystem::rename(folder.write("next.toml", "new"), settings.path());
  CHECK(contents(broker->open_settings().value()) == "new");
  std::filesystem::remove(settings.path());
  CHECK(broker->open_settings().error() == ENOENT);
}

TEST_CASE("a broker without a settings file opens none") {
  const auto broker = start({});
  CHECK(broker->open_settings().error() == EINVAL);
}

TEST_CASE("the broker opens nothing whose name is not valid for a module") {
  const TemporaryFolder folder;
  const auto asked = folder.path() / "asked";
  const auto broker = start({.open_module = [&](const ModuleName&) -> tl::expected<UniqueFd, int> {
    std::ofstream(asked) << "yes";
    return tl::unexpected(EPERM);
  }});
  for (const ModuleName& name :
       {ModuleName{"../secret", "v1"}, ModuleName{"sum", "/etc/passwd"}, ModuleName{"", ""},
        ModuleName{std::string(300, 'x'), "v1"}, ModuleName{std::string("a\0b", 3), "v1/.."}}) {
    CAPTURE(name.module);
    CHECK(broker->open_module(name).error() == ENOENT);
    CHECK_FALSE(std::filesystem::exists(asked));
  }
  CHECK(broker->open_module({"sum", "v1"}).error() == EPERM);
  CHECK(std::filesystem::exists(asked));
}

TEST_CASE("a program that cannot be started is reported on its control socket and its liveness pipe ends") {
  const auto broker = start({.program = "/no/such/program"});
  ControlPair control;
  const UniqueFd liveness_pipe = broker->start_zygote(control.theirs, std::nullopt);
  REQUIRE(liveness_pipe);
  control.theirs.reset();
  alignas(ipc::Word) std::array<std::byte, ipc::kMaxPacketBytes> buffer;
  const auto packet = ipc::receive_packet(control.ours, buffer);
  REQUIRE(packet.has_value());
  const auto reply = ipc::decode_packet(std::span(buffer).first(packet->bytes), ipc::decode_zygote_reply);
  REQUIRE(reply.has_value());
  REQUIRE(std::holds_alternative<ipc::ZygoteFailed>(*reply));
  CHECK(std::get<ipc::ZygoteFailed>(*reply).reason.find("/no/such/program: No such file") != std::string::npos);
  CHECK(becomes_readable(liveness_pipe));
}

TEST_CASE("a started program ends when its liveness pipe is closed") {
  // A program that accepts any arguments and waits to be killed.
  const TemporaryFolder folder;
  const auto program = folder.write("waits", "#!/bin/sh\nexec sleep 60\n");
  std::filesystem::permissions(program, std::filesystem::perms(0700));
  const auto broker = start({.program = program});
  ControlPair control;
  UniqueFd liveness_pipe = broker->start_zygote(control.theirs, std::nullopt);
  control.theirs.reset();
  // The program has the control socket, which closes when the program ends.
  pollfd wanted = {control.ours.get(), POLLIN, 0};
  CHECK(::poll(&wanted, 1, 100) == 0);
  liveness_pipe.reset();
  CHECK(becomes_readable(control.ours));
}

TEST_CASE("the broker gives process info only about its descendants") {
  const TemporaryFolder folder;
  const auto program = folder.write("family", "#!/bin/sh\nsleep 60 & echo $! > " + (folder.path() / "new").string() +
                                                  " && mv " + (folder.path() / "new").string() + " " +
                                                  (folder.path() / "child").string() + "; wait\n");
  std::filesystem::permissions(program, std::filesystem::perms(0700));
  const auto broker = start({.program = program});
  ControlPair control;
  const UniqueFd liveness_pipe = broker->start_zygote(control.theirs, std::nullopt);
  pid_t child = 0;
  for (int i = 0; i < 10'000 && child == 0; ++i) {
    std::ifstream(folder.path() / "child") >> child;
    if (child == 0) ::usleep(1000);
  }
  REQUIRE(child != 0);
  const auto seen = broker->look_at(open_pidfd(child));
  CHECK(seen.pid == child);
  CHECK(contents(seen.statm).find(' ') != std::string::npos);
  CHECK(contents(broker->open_memory(open_pidfd(child))).size() > 0);
  const auto mappings = broker->count_mappings(open_pidfd(child));
  REQUIRE(mappings.has_value());
  CHECK(*mappings > 2);
  CHECK(*mappings < Broker::kMostMappingsCounted);
  for (const pid_t other : {::getpid(), ::getppid()}) {
    CHECK(broker->look_at(open_pidfd(other)).pid == 0);
    CHECK_FALSE(broker->open_memory(open_pidfd(other)));
    CHECK_FALSE(broker->count_mappings(open_pidfd(other)).has_value());
  }
}

TEST_CASE("an invalid request ends the broker and its supervisor notices") {
  for (const std::size_t size : {std::size_t{1}, sizeof(BrokerRequest) - 1}) {
    const auto broker = start({});
    CHECK(broker->drop_late_answers());
    const std::string garbage(size, 'x');
    REQUIRE(::send(broker->socket().get(), garbage.data(), garbage.size(), MSG_NOSIGNAL) > 0);
    CHECK(becomes_readable(broker->socket()));
    CHECK_FALSE(broker->drop_late_answers());
    CHECK(broker->open_module({"sum", "v1"}).error() == EPIPE);
    CHECK_FALSE(broker->open_memory(open_pidfd(::getpid())));
  }
}

TEST_CASE("a request of a kind that does not exist is refused") {
  const auto broker = start({});
  BrokerRequest request{};
  request.kind = static_cast<BrokerRequest::Kind>(99);
  REQUIRE(ipc::send_packet(broker->socket(), std::as_bytes(std::span(&request, 1)), {}).has_value());
  BrokerAnswer answer;
  const auto packet = ipc::receive_packet(broker->socket(), std::as_writable_bytes(std::span(&answer, 1)));
  REQUIRE(packet.has_value());
  CHECK(answer.error == EINVAL);
}

}  // namespace
}  // namespace holdfast::supervisor
