#include "tools/cli/answer_output.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ipc/base/base64.h"
#include "ipc/base/json.h"
#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "tools/cli/json_text.h"

namespace holdfast::cli {
namespace {

// Holdfast's supervisor bounds what it passes on; these bounds are for other programs that speak the protocol.
constexpr std::size_t kMaxMessageBytes = std::size_t{64} << 10;

std::string shown_message(std::string_view text) {
  return ipc::printable(ipc::clean_utf8(text, kMaxMessageBytes), ipc::Newlines::keep);
}

// Indents every line, so that no line of a message can look like one of `holdfast`. A stack's frames are already
// indented.
std::string indented(std::string_view lines) {
  std::string text;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (line.starts_with("    at ")) line.remove_prefix(4);
    if (!line.empty()) text += fmt::format("    {}\n", line);
  }
  return text;
}

std::string as_text(const ipc::Error& error) {
  const std::string message = shown_message(error.message);
  const std::size_t first_line = std::min(message.find('\n'), message.size());
  std::string text = fmt::format("error: {}: {}\n", ipc::to_string(error.code), message.substr(0, first_line));
  text += indented(std::string_view(message).substr(first_line));
  return text + indented(shown_message(error.stack));
}

double seconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double>(duration).count(); }

nlohmann::ordered_json as_json(const ipc::Usage& usage) {
  return {{"queue", seconds(usage.queue)},
          {"load", seconds(usage.load)},
          {"run", seconds(usage.run)},
          {"cpu", seconds(usage.cpu)},
          {"peak_memory", usage.peak_memory_bytes},
          {"bytes_in", usage.bytes_in},
          {"bytes_out", usage.bytes_out},
          {"attempts", usage.attempts},
          {"cold", usage.cold}};
}

// The properties that the module set on an error. Holdfast's supervisor checks them; another program might not.
nlohmann::ordered_json properties_of(const ipc::Error& error) {
  auto properties = nlohmann::ordered_json::parse(error.properties, nullptr, false);
  return properties.is_object() ? properties : nlohmann::ordered_json::object();
}

nlohmann::ordered_json as_json(const ipc::Error& error, const ipc::Usage& usage) {
  return {{"ok", false},
          {"error",
           {{"code", ipc::to_string(error.code)},
            {"message", error.message},
            {"stack", error.stack},
            {"retryable", error.retryable},
            {"executed", ipc::to_string(error.executed)},
            {"detail", error.detail},
            {"properties", properties_of(error)},
            {"retry_after_ms", error.retry_after.count()}}},
          {"usage", as_json(usage)}};
}

Output render_error(const ipc::Error& error, const ipc::Usage& usage, Format format) {
  Output output{{}, {}, exit_code(error.code)};
  if (format == Format::json) {
    output.standard_output = to_output(as_json(error, usage)) + "\n";
  } else {
    output.standard_error = as_text(error);
  }
  return output;
}

ipc::Error not_json(const std::string& problem) {
  return make_error(ipc::ErrorCode::protocol_error, fmt::format("the module's result is not valid JSON: {}", problem),
                    ipc::Executed::yes);
}

// A payload as a JSON value. The error says why a payload that claims to be JSON is not.
tl::expected<std::string, std::string> as_json(const ipc::Result& result) {
  if (result.encoding != ipc::Encoding::json) return fmt::format("\"{}\"", to_base64(result.payload));
  // An empty payload stands for null (protocol.capnp, Encoding).
  const std::string_view payload = result.payload.empty() ? "null" : std::string_view(result.payload);
  if (auto problem = json_problem(payload)) return tl::unexpected(std::move(*problem));
  return ipc::json_for_output(payload);
}

// Whether the output is the result's raw bytes: in text format, for every encoding but JSON.
bool is_raw(const ipc::Result& result, Format format) {
  return format == Format::text && result.encoding != ipc::Encoding::json;
}

}  // namespace

Output render(const ipc::Answer& answer, Format format) {
  if (!answer) return render_error(answer.error(), answer.usage, format);
  if (is_raw(*answer, format)) return {answer->payload, {}, ExitCode::result};
  const auto result = as_json(*answer);
  if (!result) return render_error(not_json(result.error()), answer.usage, format);
  if (format == Format::text) return {*result + "\n", {}, ExitCode::result};
  return {fmt::format("{{\"ok\":true,\"encoding\":\"{}\",\"result\":{},\"usage\":{}}}\n", to_string(answer->encoding),
                      *result, to_output(as_json(answer.usage))),
          {},
          ExitCode::result};
}

Output render(const ipc::Result& chunk, Format format) {
  if (is_raw(chunk, format)) return {chunk.payload, {}, ExitCode::result};
  const auto value = as_json(chunk);
  if (!value) return render_error(not_json(value.error()), {}, format);
  if (format == Format::text) return {*value + "\n", {}, ExitCode::result};
  return {
      fmt::format("{{\"encoding\":\"{}\",\"chunk\":{}}}\n", to_string(chunk.encoding), *value), {}, ExitCode::result};
}

std::string usage_line(const ipc::Usage& usage) {
  return fmt::format("usage: {} queue, {} load, {} run, {} cpu, {} peak memory, {} in, {} out, {} {}{}\n",
                     ipc::format_duration(usage.queue), ipc::format_duration(usage.load),
                     ipc::format_duration(usage.run), ipc::format_duration(usage.cpu),
                     ipc::format_size(usage.peak_memory_bytes), ipc::format_size(usage.bytes_in),
                     ipc::format_size(usage.bytes_out), usage.attempts, usage.attempts == 1 ? "attempt" : "attempts",
                     usage.cold ? ", cold" : "");
}

ipc::Error as_error(const ipc::ConnectError& error) {
  const bool unreachable = error.reason == ipc::ConnectError::Reason::cannot_connect;
  return {.code = unreachable ? ipc::ErrorCode::unavailable : ipc::ErrorCode::protocol_error,
          .message = error.message,
          .stack = {},
          .retryable = unreachable,
          .executed = ipc::Executed::no,
          .detail = {}};
}

}  // namespace holdfast::cli
