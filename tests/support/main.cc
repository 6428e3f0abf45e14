// The main program of the tests that run Holdfast's programs. No test may hang: one that takes longer than any busy
// machine explains is ended, and its name is told.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <algorithm>
#include <cstring>
#include <signal.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/support/as_nobody.h"
#include "tests/support/daemon.h"

namespace {

constexpr unsigned kTestGuardSeconds = 90;

const char* running_test = "";

void write_error(const char* text) { (void)!::write(STDERR_FILENO, text, std::strlen(text)); }

void on_alarm(int) {
  write_error("this test hangs: ");
  write_error(running_test);
  write_error("\n");
  ::_exit(1);  // its programs die with this process
}

class Guard final : public doctest::IReporter {
 public:
  explicit Guard(const doctest::ContextOptions&) {}

  void test_run_start() override {
    if (holdfast::test::is_for_nobody() && ::geteuid() != 0) {
      write_error("only root can start programs as nobody; without root, every test runs that way\n");
      constexpr int kSkipped = 77;  // to meson
      ::_exit(kSkipped);
    }
    ::signal(SIGALRM, on_alarm);
    ::signal(SIGPIPE, SIG_IGN);
  }
  void test_case_start(const doctest::TestCaseData& test) override {
    running_test = test.m_name;
    ::alarm(kTestGuardSeconds);
  }
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    ::alarm(0);
    std::string& logs = holdfast::test::logs_of_this_test();
    if (stats.failure_flags != 0) {
      write_error("what holdfastd logged in the test that failed:\n");
      constexpr std::size_t kMostBytes = 16 << 10;
      write_error(logs.substr(logs.size() - std::min(logs.size(), kMostBytes)).c_str());
    }
    logs.clear();
  }

  void report_query(const doctest::QueryData&) override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("guard", 1, Guard);

}  // namespace
