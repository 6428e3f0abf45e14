// The main program of the tests that run Holdfast's programs. A test that runs longer than even a busy machine explains
// is taken to hang: it is ended, and its name is printed.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <sstream>
#include <string>

#include "tests/support/as_nobody.h"
#include "tests/support/daemon.h"
#include "tests/support/skips.h"

namespace {

constexpr unsigned kTestGuardSeconds = 900;

const char* running_test = "";
std::string failures;

void write_error(const char* text) { (void)!::write(STDERR_FILENO, text, std::strlen(text)); }

void on_alarm(int) {
  write_error("this test hangs: ");
  write_error(running_test);
  write_error("\n");
  write_error(failures.c_str());
  ::_exit(1);  // without ending the programs that the test started
}

class Guard final : public doctest::IReporter {
 public:
  explicit Guard(const doctest::ContextOptions&) {}

  void test_run_start() override {
    if (holdfast::test::is_for_nobody() && ::geteuid() != 0) {
      write_error(
          "skipped: only root can start programs as nobody, and without root every test runs unprivileged already\n");
      constexpr int kSkipped = 77;  // to meson
      ::_exit(kSkipped);
    }
    ::signal(SIGALRM, on_alarm);
    ::signal(SIGPIPE, SIG_IGN);
  }
  // Repeats the failures at the end, below everything that the tests and their programs wrote.
  void test_run_end(const doctest::TestRunStats&) override {
    if (!failures.empty()) write_error(("\nfailures:\n" + failures).c_str());
  }
  void test_case_start(const doctest::TestCaseData& test) override {
    running_test = test.m_name;
    ::alarm(kTestGuardSeconds);
  }
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    ::alarm(0);
    std::string& logs = holdfast::test::logs_of_this_test();
    if (stats.failure_flags != 0) {
      write_error("holdfastd's log in the failed test:\n");
      constexpr std::size_t kMostBytes = 16 << 10;
      write_error(logs.substr(logs.size() - std::min(logs.size(), kMostBytes)).c_str());
    }
    logs.clear();
  }

  void log_assert(const doctest::AssertData& assert) override {
    if (!assert.m_failed || (assert.m_at& doctest::assertType::is_warn) != 0) return;
    std::ostringstream text;
    text << assert.m_file << ':' << assert.m_line << ": " << doctest::assertString(assert.m_at) << "( " << assert.m_expr
         << " )";
    if (assert.m_threw) text << " threw: " << assert.m_exception;
    if (assert.m_decomp.size() != 0) text << ", values: " << assert.m_decomp;
    add_failure(text);
  }
  void log_message(const doctest::MessageData& message) override {
    if (message.m_severity == doctest::assertType::is_warn) return;
    std::ostringstream text;
    text << message.m_file << ':' << message.m_line << ": " << message.m_string;
    add_failure(text);
  }
  void test_case_exception(const doctest::TestCaseException& exception) override {
    std::ostringstream text;
    text << (exception.is_crash ? "crashed: " : "threw: ") << exception.error_string;
    add_failure(text);
  }

  void report_query(const doctest::QueryData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void test_case_skipped(const doctest::TestCaseData& test) override { holdfast::test::tell_skipped(test); }

 private:
  void add_failure(std::ostringstream& text) {
    const doctest::IContextScope* const* contexts = get_active_contexts();
    for (int i = 0; i < get_num_active_contexts(); ++i) {
      text << ", ";
      contexts[i]->stringify(&text);
    }
    failures += std::string(running_test) + ": " + text.str() + "\n";
  }
};

REGISTER_LISTENER("guard", 1, Guard);

}  // namespace
