#include "supervisor/log/log_writer.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "ipc/base/unique_fd.h"
#include "tests/support/skips.h"
#include "tests/unit/supervisor/test_support.h"

namespace holdfast::supervisor {
namespace {

struct Ends {
  UniqueFd reader, writer;
};

Ends pipe_ends() {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Ends socket_ends() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Reads what is available now.
std::string read_some(const UniqueFd& reader) {
  std::string text(std::size_t{1} << 16, '\0');
  ::fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  const ssize_t count = ::read(reader.get(), text.data(), text.size());
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

std::string read_all(const UniqueFd& reader, LogWriter& log) {
  std::string all;
  for (std::string some; !(some = read_some(reader)).empty();) {
    all += some;
    log.flush();
  }
  return all;
}

std::string numbered(int number) { return "line " + std::to_string(number) + std::string(80, '.') + "\n"; }

TEST_CASE("a log is written as it comes while it is read") {
  for (const bool is_socket : {false, true}) {
    const Ends ends = is_socket ? socket_ends() : pipe_ends();
    LogWriter log(ends.writer.get());
    log.write("one\n");
    CHECK(read_some(ends.reader) == "one\n");
    log.write("two\n");
    CHECK(read_some(ends.reader) == "two\n");
  }
}

TEST_CASE("a log that nobody reads does not block and is read whole later") {
  for (const bool is_socket : {false, true}) {
    const Ends ends = is_socket ? socket_ends() : pipe_ends();
    LogWriter log(ends.writer.get());
    bool is_kept = false;
    log.set_on_unwritten([&] { is_kept = true; });
    std::string written;
    for (int i = 0; written.size() < LogWriter::kMostUnwritten / 2; ++i) {
      log.write(numbered(i));
      written += numbered(i);
    }
    CHECK(is_kept);
    CHECK(read_all(ends.reader, log) == written);
    CHECK(log.flush());
  }
}

TEST_CASE("lines without room in the log are dropped and their number is logged in their place") {
  const Ends ends = pipe_ends();
  LogWriter log(ends.writer.get());
  log.set_format_of_dropped([](std::uint64_t lines) { return "dropped " + std::to_string(lines) + "\n"; });
  constexpr int kLines = 30'000;
  for (int i = 0; i < kLines; ++i) log.write(numbered(i));
  const std::string text = read_all(ends.reader, log);
  int kept = 0;
  while (text.find(numbered(kept)) != std::string::npos) ++kept;
  CHECK(kept < kLines);
  CHECK(text.size() > LogWriter::kMostUnwritten);
  CHECK(text.ends_with(numbered(kept - 1) + "dropped " + std::to_string(kLines - kept) + "\n"));
  log.write("next\n");
  CHECK(read_some(ends.reader) == "next\n");
}

TEST_CASE("a log that is read slowly keeps no more than its bound") {
  const Ends ends = pipe_ends();
  LogWriter log(ends.writer.get());
  log.set_format_of_dropped([](std::uint64_t) { return "dropped\n"; });
  std::string text;
  for (int i = 0; i < 100'000; ++i) {
    log.write(numbered(i));
    if (i % 1600 == 0) text += read_some(ends.reader);
  }
  text += read_all(ends.reader, log);
  CHECK(text.find("dropped\n") != std::string::npos);
  CHECK(text.starts_with(numbered(0)));
  CHECK(log.flush());
}

TEST_CASE("the end of a process does not wait for a log that nobody reads") {
  const Ends ends = pipe_ends();
  LogWriter log(ends.writer.get());
  while (log.flush()) log.write(numbered(0));
  log.flush_for(std::chrono::milliseconds(1));
  CHECK_FALSE(log.flush());
}

TEST_CASE("the open file of the log keeps its flags for others that share it") {
  const Ends ends = pipe_ends();
  LogWriter log(ends.writer.get());
  log.write("one\n");
  CHECK((::fcntl(ends.writer.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("without a reader only the log is lost") {
  Ends ends = pipe_ends();
  LogWriter log(ends.writer.get());
  ends.reader.reset();
  const auto before = ::signal(SIGPIPE, SIG_IGN);  // holdfastd ignores it, too
  log.write("one\n");
  CHECK(log.flush());
  ::signal(SIGPIPE, before);
}

TEST_CASE("a log that cannot be opened anew is written without waiting all the same" * test::needs_root()) {
  // Root owns the pipe, and the writer runs as nobody.
  const Ends ends = pipe_ends();
  const int status = testing::exit_status_of(testing::As::nobody, [&] {
    LogWriter log(ends.writer.get());
    for (int i = 0; i < 2'000; ++i) log.write(numbered(i));
    return !log.flush();
  });
  CHECK(status == 0);
  CHECK(read_some(ends.reader).starts_with(numbered(0)));
}

}  // namespace
}  // namespace holdfast::supervisor
