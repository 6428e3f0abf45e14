#include "tools/cli/answer_output.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "ipc/base/base64.h"

using namespace holdfast;
using namespace holdfast::cli;

namespace {

ipc::Answer result(std::string payload) { return ipc::Result{std::move(payload), ipc::Encoding::json}; }

const ipc::Usage kUsage = {.queue = std::chrono::microseconds(1500),
                           .load = std::chrono::milliseconds(20),
                           .run = std::chrono::seconds(2),
                           .cpu = std::chrono::milliseconds(1500),
                           .peak_memory_bytes = 5 << 20,
                           .bytes_in = 13,
                           .bytes_out = 2048,
                           .attempts = 1,
                           .cold = true};
constexpr const char* kUsageJson = R"({"queue": 0.0015, "load": 0.02, "run": 2.0, "cpu": 1.5, "peak_memory": 5242880,
    "bytes_in": 13, "bytes_out": 2048, "attempts": 1, "cold": true})";

ipc::Error error_of(ipc::ErrorCode code) {
  return {.code = code, .message = "what happened", .stack = {}, .detail = {}};
}

}  // namespace

TEST_CASE("a result is printed as its JSON") {
  const Output output = render(result(R"({"a": 1.0})"), Format::text);
  CHECK(output.standard_output == "{\"a\": 1.0}\n");
  CHECK(output.standard_error.empty());
  CHECK(output.exit_code == ExitCode::result);
  CHECK(render(result("\"x\""), Format::text).standard_output == "\"x\"\n");
}

TEST_CASE("an empty result stands for null") { CHECK(render(result(""), Format::text).standard_output == "null\n"); }

TEST_CASE("with --json a result is the object's result") {
  ipc::Answer answer = result("[1,2]");
  answer.usage = kUsage;
  const Output output = render(answer, Format::json);
  CHECK(output.standard_output.find('\n') == output.standard_output.size() - 1);
  CHECK(nlohmann::json::parse(output.standard_output) ==
        nlohmann::json{
            {"ok", true}, {"encoding", "json"}, {"result", {1, 2}}, {"usage", nlohmann::json::parse(kUsageJson)}});
  CHECK(output.exit_code == ExitCode::result);
}

TEST_CASE("bytes are written as they are, and stand in JSON as base64") {
  const ipc::Answer bytes = ipc::Result{std::string("\0\xFF\n", 3), ipc::Encoding::bytes};
  CHECK(render(bytes, Format::text).standard_output == std::string("\0\xFF\n", 3));
  const auto object = nlohmann::json::parse(render(bytes, Format::json).standard_output);
  CHECK(object["encoding"] == "bytes");
  CHECK(object["result"] == "AP8K");
  for (const auto& [text, base64] :
       {std::pair{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}}) {
    CHECK(to_base64(text) == base64);  // RFC 4648, 10
  }
}

TEST_CASE("a chunk is a line of its own") {
  CHECK(render(ipc::Result{"[1]"}, Format::text).standard_output == "[1]\n");
  CHECK(render(ipc::Result{"[1]"}, Format::json).standard_output == "{\"encoding\":\"json\",\"chunk\":[1]}\n");
  CHECK(render(ipc::Result{"A", ipc::Encoding::bytes}, Format::text).standard_output == "A");
  CHECK(render(ipc::Result{"A", ipc::Encoding::structured}, Format::json).standard_output ==
        "{\"encoding\":\"structured\",\"chunk\":\"QQ==\"}\n");
  CHECK(render(ipc::Result{"nonsense"}, Format::text).exit_code == ExitCode::stopped);
}

TEST_CASE("a result that is not JSON cannot forge output") {
  for (const char* payload : {"1},\"ok\":false", "\x1b]0;title\x07", "\"\x9b\"", "1\nerror: forged"}) {
    CAPTURE(std::string_view(payload));
    const Output text = render(result(payload), Format::text);
    CHECK(text.standard_output.empty());
    CHECK(text.standard_error.starts_with("error: protocol_error: "));
    CHECK(text.exit_code == ExitCode::stopped);
    const auto object = nlohmann::json::parse(render(result(payload), Format::json).standard_output);
    CHECK(object["ok"] == false);
    CHECK(object["error"]["code"] == "protocol_error");
  }
}

TEST_CASE("an error and its stack go to standard error") {
  ipc::Error error = error_of(ipc::ErrorCode::cpu_exceeded);
  error.stack = "    at spin (loop.js:3:5)\n    at main (loop.js:9:1)";
  const Output output = render(tl::unexpected(error), Format::text);
  CHECK(output.standard_output.empty());
  CHECK(output.standard_error ==
        "error: cpu_exceeded: what happened\n    at spin (loop.js:3:5)\n    at main (loop.js:9:1)\n");
}

TEST_CASE("no text of an error can move the cursor or imitate a line of the program") {
  ipc::Error error = error_of(ipc::ErrorCode::exception);
  error.message = "bad\x1b[2J\x9b\nerror: forged";
  error.stack = "x\r\nerror: forged too";
  const std::string shown = render(tl::unexpected(error), Format::text).standard_error;
  CHECK(shown.find('\x1b') == std::string::npos);
  CHECK(shown.find('\x9b') == std::string::npos);
  CHECK(shown.find('\r') == std::string::npos);
  CHECK(shown.find("\nerror:") == std::string::npos);
}

TEST_CASE("with --json an error has all its keys, in one line") {
  ipc::Error error = error_of(ipc::ErrorCode::overloaded);
  error.message = "full\n\x1b\xFF";
  error.retryable = true;
  error.executed = ipc::Executed::maybe;
  error.retry_after = std::chrono::milliseconds(250);
  ipc::Answer answer = tl::unexpected(error);
  answer.usage = kUsage;
  const std::string line = render(answer, Format::json).standard_output;
  CHECK(line.find('\n') == line.size() - 1);
  auto expected =
      nlohmann::json::parse(R"({"ok": false, "error": {"code": "overloaded", "message": "full\n\u001b\ufffd",
    "stack": "", "retryable": true, "executed": "maybe", "detail": "", "properties": {}, "retry_after_ms": 250}})");
  expected["usage"] = nlohmann::json::parse(kUsageJson);
  CHECK(nlohmann::json::parse(line) == expected);
}

TEST_CASE("with --json own properties of an error are JSON and invalid ones are left out") {
  const auto properties = [](std::string text) {
    ipc::Error error = error_of(ipc::ErrorCode::exception);
    error.properties = std::move(text);
    return nlohmann::json::parse(render(tl::unexpected(error), Format::json).standard_output)["error"]["properties"];
  };
  CHECK(properties(R"({"code":"E_QUOTA","at":{"list":[1,null]}})") ==
        nlohmann::json::parse(R"({"code":"E_QUOTA","at":{"list":[1,null]}})"));
  for (const char* text : {"", "[1]", "7", "{", "{} {}", "{\"a\":\"\xFF\"}"}) {
    CAPTURE(text);
    CHECK(properties(text) == nlohmann::json::object());
  }
}

TEST_CASE("the usage of a call is printed as one line") {
  CHECK(usage_line(kUsage) ==
        "usage: 1.5ms queue, 20ms load, 2s run, 1.5s cpu, 5MB peak memory, 13B in, 2kB out, 1 attempt, cold\n");
  CHECK(usage_line({}) == "usage: 0ns queue, 0ns load, 0ns run, 0ns cpu, 0B peak memory, 0B in, 0B out, 0 attempts\n");
}

TEST_CASE("the exit code tells the function's own failures from calls that were stopped") {
  using ipc::ErrorCode;
  const auto code = [](ErrorCode error) { return render(tl::unexpected(error_of(error)), Format::text).exit_code; };
  for (const auto error : {ErrorCode::not_found, ErrorCode::load_failed, ErrorCode::exception,
                           ErrorCode::payload_too_large, ErrorCode::not_serializable}) {
    CHECK(code(error) == ExitCode::function_failed);
  }
  for (const auto error :
       {ErrorCode::protocol_error, ErrorCode::deadline_exceeded, ErrorCode::cpu_exceeded, ErrorCode::out_of_memory,
        ErrorCode::sandbox_violation, ErrorCode::worker_crashed, ErrorCode::overloaded, ErrorCode::cancelled,
        ErrorCode::permission_denied, ErrorCode::unavailable}) {
    CHECK(code(error) == ExitCode::stopped);
  }
  CHECK(static_cast<int>(ExitCode::result) == 0);
  CHECK(static_cast<int>(ExitCode::function_failed) == 1);
  CHECK(static_cast<int>(ExitCode::usage) == 2);
  CHECK(static_cast<int>(ExitCode::stopped) == 3);
  CHECK(exit_code_for_signal(2) == 130);
}

TEST_CASE("a supervisor that cannot be reached is an unavailable one") {
  using Reason = ipc::ConnectError::Reason;
  const ipc::Error unreachable = as_error({Reason::cannot_connect, "cannot connect to x"});
  CHECK(unreachable.code == ipc::ErrorCode::unavailable);
  CHECK(unreachable.retryable);
  CHECK(unreachable.executed == ipc::Executed::no);
  CHECK(as_error({Reason::version_mismatch, ""}).code == ipc::ErrorCode::protocol_error);
}
