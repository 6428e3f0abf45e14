#include "tools/cli/call_command.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "ipc/base/module_name.h"
#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "ipc/call_rules.h"
#include "ipc/client.h"
#include "tools/cli/json_text.h"
#include "tools/cli/log_listing.h"
#include "tools/cli/private_supervisor.h"
#include "tools/cli/run_settings.h"
#include "tools/cli/signal_watch.h"
#include "tools/cli/standard_streams.h"
#include "tools/cli/tell_failure.h"

namespace holdfast::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long to wait for the answer of a cancelled call, while a person who pressed Ctrl-C waits.
constexpr milliseconds kCancelTimeout{2000};

// False for raw bytes on a terminal, which could act upon them.
bool may_be_shown(const ipc::Result& result, const CallOptions& options) {
  if (result.encoding == ipc::Encoding::json || options.format == Format::json || ::isatty(STDOUT_FILENO) == 0) {
    return true;
  }
  write_standard_error("bytes are not shown on a terminal; redirect standard output, or use --json\n");
  return false;
}

int finish(const ipc::Answer& answer, const CallOptions& options, bool streamed = false) {
  // A stream's generator usually returns nothing.
  const bool is_nothing = streamed && options.format == Format::text && answer && answer->payload == "null";
  const Output output = is_nothing || (answer && !may_be_shown(*answer, options)) ? Output{{}, {}, ExitCode::result}
                                                                                  : render(answer, options.format);
  write_standard_error(output.standard_error);
  if (options.show_usage) write_standard_error(usage_line(answer.usage));
  const bool written = write_standard_output(output.standard_output);
  return static_cast<int>(written ? output.exit_code : ExitCode::stopped);
}

int finish(const ipc::ConnectError& error, const CallOptions& options) {
  return finish(tl::unexpected(as_error(error)), options);
}

struct Arguments {
  std::string payload;
  ipc::ArgumentStyle style;
};

// Reads the payload or the arguments of the call, and checks what must be JSON.
tl::expected<Arguments, std::string> read_arguments(const CallOptions& options) {
  if (options.arguments) {
    if (options.encoding != ipc::Encoding::json) {
      return tl::unexpected(std::string("--args takes a JSON array; it cannot be given with another --encoding"));
    }
    if (auto problem = json_problem(*options.arguments)) {
      return tl::unexpected(fmt::format("--args is not valid JSON: {}", *problem));
    }
    if (!is_json_array(*options.arguments)) {
      return tl::unexpected(std::string("--args is not a JSON array; expected one such as '[1, \"two\"]'"));
    }
    return Arguments{*options.arguments, ipc::ArgumentStyle::positional};
  }
  std::string_view origin = "PAYLOAD";
  const bool is_json = options.encoding == ipc::Encoding::json;
  std::string payload = options.payload.value_or(is_json ? "null" : "");
  if (payload == "-") {
    auto input = read_standard_input();
    if (!input) return tl::unexpected(input.error());
    payload = std::move(*input);
    origin = "the payload on standard input";
  }
  if (auto problem = is_json ? json_problem(payload) : std::nullopt) {
    return tl::unexpected(fmt::format("{} is not valid JSON: {}", origin, *problem));
  }
  return Arguments{std::move(payload), ipc::ArgumentStyle::single};
}

std::optional<std::string> function_problem(const std::string& function) {
  if (function.empty()) return "FUNC is empty; name a function, such as default";
  if (function.front() == '{' || function.front() == '[') {
    return fmt::format("FUNC is {}, which looks like a payload: name the function before it, such as default",
                       ipc::printable(ipc::clean_utf8(function, ipc::kMaxFunctionBytes), ipc::Newlines::escape));
  }
  if (function.size() <= ipc::kMaxFunctionBytes) return std::nullopt;
  return fmt::format("FUNC has {} bytes; at most {} are allowed", function.size(), ipc::kMaxFunctionBytes);
}

std::optional<std::string> file_problem(const std::string& file) {
  struct stat status = {};
  const std::string shown = ipc::printable(ipc::clean_utf8(file, PATH_MAX), ipc::Newlines::escape);
  if (::stat(file.c_str(), &status) != 0 || ::access(file.c_str(), R_OK) != 0) {
    return fmt::format("cannot read {}: {}", shown, std::strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) return fmt::format("cannot read {}: it is a folder, not a module's file", shown);
  return std::nullopt;
}

// Shows what the private supervisor's only module logs outside of its call: while it is loaded, and errors with or
// after the answer that belong to no call.
class LinesAroundCall {
 public:
  explicit LinesAroundCall(ipc::Client& client) : client_(client) {
    const auto show = [answered = answered_](const ipc::LogRecord& record) {
      if (*answered || record.request_id.empty()) write_standard_error(log_of_call(record));
    };
    // Without the lines the call still has an answer.
    [[maybe_unused]] const auto subscribed = client_.subscribe_logs({.follow = true}, show);
  }

  void note_answer() { *answered_ = true; }

  // Shows the lines that came with the answer: another request makes the client read all that was sent before its
  // reply.
  void show_last() {
    [[maybe_unused]] const auto asked = client_.subscribe_logs({}, [](const ipc::LogRecord&) {});
  }

 private:
  ipc::Client& client_;
  std::shared_ptr<bool> answered_ = std::make_shared<bool>(false);
};

// Makes the call and prints its answer. A signal cancels the call; a second signal ends the wait for its answer.
int call(ipc::Client& client, const ipc::CallRequest& request, const CallOptions& options,
         LinesAroundCall* lines = nullptr) {
  SignalWatch signals;
  std::optional<ipc::Answer> answer;
  std::optional<int> signal;
  auto give_up = Clock::time_point::max();
  std::uint64_t id = 0;
  bool is_shown = true;
  bool streamed = false;
  bool is_read = true;
  const auto show = [&](const ipc::Result& chunk) {
    if (!std::exchange(streamed, true)) is_shown = may_be_shown(chunk, options);
    if (!is_shown || !is_read) return;
    const Output output = render(chunk, options.format);
    write_standard_error(output.standard_error);
    write_standard_output(output.standard_output);
    is_read = standard_output_has_reader();
    if (!is_read) client.cancel(id);
  };
  ipc::CallReaders readers{.on_chunk = show};
  if (options.show_logs) {
    readers.on_log = [](const ipc::LogRecord& record) { write_standard_error(log_of_call(record)); };
  }
  id = client.start(
      request,
      [&](ipc::Answer arrived) {
        answer = std::move(arrived);
        if (lines != nullptr) lines->note_answer();
      },
      std::move(readers));
  for (client.run_once(milliseconds(0)); !answer; client.run_once(milliseconds(0))) {
    const auto left = std::chrono::ceil<milliseconds>(give_up - Clock::now());
    if (signal && left <= milliseconds(0)) break;
    pollfd wanted[] = {{client.fd(), static_cast<short>(POLLIN | (client.unsent_bytes() > 0 ? POLLOUT : 0)), 0},
                       {signals.fd(), POLLIN, 0}};
    ::poll(wanted, 2, signal ? static_cast<int>(left.count()) : -1);
    if (const auto taken = signals.take()) {
      if (signal) break;
      signal = taken;
      give_up = Clock::now() + kCancelTimeout;
      client.cancel(id);
    }
  }
  if (!answer) {
    answer = tl::unexpected(ipc::Error{.code = ipc::ErrorCode::cancelled,
                                       .message = "interrupted; the supervisor has not confirmed that the call ended",
                                       .stack = {},
                                       .executed = ipc::Executed::maybe,
                                       .detail = {}});
  }
  if (!is_read) return static_cast<int>(ExitCode::result);  // the reader of standard output has left
  if (answer && lines != nullptr && !signal) lines->show_last();
  const int code = finish(*answer, options, streamed);
  return signal ? exit_code_for_signal(*signal) : code;
}

ipc::CallRequest request_for(const ipc::ModuleName& target, const CallOptions& options, const Arguments& arguments) {
  return {.module = target.module,
          .version = target.version,
          .function = options.function,
          .payload = ipc::as_bytes(arguments.payload),
          .encoding = options.encoding,
          .arguments = arguments.style,
          .timeout = options.timeout,
          .idempotent = options.idempotent,
          .result_encoding = options.result_encoding};
}

// A file in memory with this text.
UniqueFd memory_file(const std::string& text) {
  UniqueFd file(::memfd_create("holdfast-run", MFD_CLOEXEC));
  for (std::size_t done = 0; file && done < text.size();) {
    const ssize_t written = ::write(file.get(), text.data() + done, text.size() - done);
    if (written < 0) return UniqueFd();
    done += static_cast<std::size_t>(written);
  }
  return file;
}

}  // namespace

int run_command(const RunOptions& options) {
  if (auto problem = function_problem(options.call.function)) return tell_usage_error(*problem);
  if (auto problem = file_problem(options.file)) return tell_usage_error(*problem);
  const auto arguments = read_arguments(options.call);
  if (!arguments) return tell_usage_error(arguments.error());

  const ipc::ModuleName target{module_name_for_file(options.file), "local"};
  std::vector<std::string> flags = {
      "--log-level",
      "error",
      "--module-log-level",
      "off",
      "--standby",
      "0",
      "--max-workers",
      "1",
      "--module",
      fmt::format("{}@{}={}", target.module, target.version, std::filesystem::absolute(options.file).string())};
  flags.insert(flags.end(), {"--profile", options.profile, "--results", options.results});
  if (options.allow_eval) flags.insert(flags.end(), {"--allow-eval", target.module});
  UniqueFd settings;
  if (!options.environment.empty()) {
    settings = memory_file(settings_with_environment(options.environment));
    if (!settings)
      return tell_usage_error(fmt::format("cannot make a file in memory for --env: {}", std::strerror(errno)));
    // By this process's descriptor, because holdfastd inherits only its socket and pipes.
    flags.insert(flags.end(), {"--config", fmt::format("/proc/{}/fd/{}", ::getpid(), settings.get())});
  }
  if (options.memory) flags.insert(flags.end(), {"--memory", *options.memory});
  if (options.stretch) flags.insert(flags.end(), {"--stretch", *options.stretch});
  auto supervisor = PrivateSupervisor::start(flags);
  if (!supervisor) {
    const StartError& error = supervisor.error();
    if (error.is_usage) return tell_usage_error(error.message);
    return finish(ipc::ConnectError{ipc::ConnectError::Reason::cannot_connect, error.message}, options.call);
  }
  CallOptions with_logs = options.call;
  with_logs.show_logs = true;
  LinesAroundCall lines(supervisor->client());
  return call(supervisor->client(), request_for(target, options.call, *arguments), with_logs, &lines);
}

int invoke_command(const InvokeOptions& options) {
  if (auto problem = function_problem(options.call.function)) return tell_usage_error(*problem);
  const auto arguments = read_arguments(options.call);
  if (!arguments) return tell_usage_error(arguments.error());

  auto client = connect_to(options.supervisor);
  if (!client) return finish(client.error(), options.call);
  return call(*client, request_for(options.target, options.call, *arguments), options.call);
}

}  // namespace holdfast::cli
