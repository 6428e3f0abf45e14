// Answers as `holdfast` prints them.
#pragma once

#include <string>

#include "ipc/client.h"
#include "tools/cli/exit_code.h"

namespace holdfast::cli {

enum class Format { text, json };

struct Output {
  std::string standard_output;  // whole lines, or nothing
  std::string standard_error;
  ExitCode exit_code;
};

// Text: the result's JSON goes to standard output, an error with its stack to standard error. JSON: one object goes
// to standard output, {"ok":true,"encoding":"json","result":…,"usage":{…}} or {"ok":false,"error":{…},"usage":{…}};
// all keys are always present. In "usage", durations are in seconds, with a fraction, and sizes in bytes. A result
// that is not JSON is its raw bytes as text, and base64 as JSON. The answer comes from untrusted code. Whatever it
// contains, the output is valid UTF-8 without terminal controls, except for raw bytes as text. A result that claims
// to be JSON and is not becomes the error `protocol_error`.
Output render(const ipc::Answer& answer, Format format);

// Renders one value of a stream. Text: one line of JSON, or its raw bytes. JSON: {"encoding":"json","chunk":…} on one
// line.
Output render(const ipc::Result& chunk, Format format);

// What the call used, on one line for people.
std::string usage_line(const ipc::Usage& usage);

// A failed connection as the error of the call that could not be made.
ipc::Error as_error(const ipc::ConnectError& error);

}  // namespace holdfast::cli
