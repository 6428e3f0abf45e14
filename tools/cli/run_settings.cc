#include "tools/cli/run_settings.h"

#include <nlohmann/json.hpp>

namespace holdfast::cli {

// A TOML basic string is a JSON string, except that DEL must be escaped (TOML 1.0, String).
std::string settings_with_environment(const std::map<std::string, std::string>& environment) {
  std::string text = "[defaults.env]\n";
  for (const auto& [name, value] : environment) {
    text += name + " = ";
    for (const char c : nlohmann::json(value).dump()) {
      if (c == '\x7f') {
        text += "\\u007f";
      } else {
        text += c;
      }
    }
    text += '\n';
  }
  return text;
}

}  // namespace holdfast::cli
