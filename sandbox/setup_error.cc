#include "sandbox/setup_error.h"

#include <system_error>

namespace holdfast::sandbox {

tl::unexpected<SetupError> setup_failure(std::string_view layer, std::string_view call, int error,
                                         std::string_view advice) {
  std::string message(call);
  message += ": ";
  message += std::generic_category().message(error);
  if (!advice.empty()) {
    message += "; ";
    message += advice;
  }
  return tl::unexpected(SetupError{std::string(layer), std::move(message)});
}

}  // namespace holdfast::sandbox
