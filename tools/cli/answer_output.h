// What a user sees of an answer.
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

// As text: the result's JSON on standard output, an error and its stack on standard error. As JSON: one object on
// standard output, {"ok":true,"encoding":"json","result":…,"usage":{…}} or {"ok":false,"error":{…},"usage":{…}}, whose
// keys are always all there. In "usage" durations are seconds, with a fraction, and sizes bytes. A result in another
// encoding than JSON comes as its bytes, as JSON in base64.
// The answer comes from code that nobody trusts: whatever it holds, the output is valid UTF-8 without terminal
// controls, unless it is bytes as text; and a result that says it is JSON and is not is shown as the error
// `protocol_error`.
Output render(const ipc::Answer& answer, Format format);

// A value of a stream, before its answer. As text: in one line, or its bytes. As JSON: {"encoding":"json","chunk":…} in
// one line.
Output render(const ipc::Result& chunk, Format format);

// What the call took, in one line for people.
std::string usage_line(const ipc::Usage& usage);

// A session that did not come about, as the answer to the call that could not be made.
ipc::Error as_error(const ipc::ConnectError& error);

}  // namespace holdfast::cli
