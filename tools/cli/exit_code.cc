#include "tools/cli/exit_code.h"

namespace holdfast::cli {

ExitCode exit_code(ipc::ErrorCode code) {
  switch (code) {
    case ipc::ErrorCode::not_found:
    case ipc::ErrorCode::load_failed:
    case ipc::ErrorCode::exception:
    case ipc::ErrorCode::payload_too_large:
    case ipc::ErrorCode::not_serializable:
      return ExitCode::function_failed;
    case ipc::ErrorCode::protocol_error:
    case ipc::ErrorCode::deadline_exceeded:
    case ipc::ErrorCode::cpu_exceeded:
    case ipc::ErrorCode::out_of_memory:
    case ipc::ErrorCode::sandbox_violation:
    case ipc::ErrorCode::worker_crashed:
    case ipc::ErrorCode::overloaded:
    case ipc::ErrorCode::cancelled:
    case ipc::ErrorCode::permission_denied:
    case ipc::ErrorCode::unavailable:
      break;
  }
  return ExitCode::stopped;
}

}  // namespace holdfast::cli
