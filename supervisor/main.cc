// holdfastd: reads its options and settings, prepares what it needs its rights for, and serves.
#include <fmt/format.h>

#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "supervisor/configuration.h"
#include "supervisor/log/log_output.h"
#include "supervisor/monitor.h"
#include "supervisor/options.h"
#include "supervisor/own_process.h"
#include "supervisor/prepare.h"
#include "supervisor/serve.h"

namespace {

using namespace holdfast::supervisor;

struct FinishLog {
  FinishLog() = default;
  ~FinishLog() { finish_log(); }
  FinishLog(const FinishLog&) = delete;
  FinishLog& operator=(const FinishLog&) = delete;
};

}  // namespace

int main(int argc, char** argv) {
  mend_inheritance();
  set_up_malloc();
  const auto parsed = parse_options(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  const Options& options = std::get<Options>(parsed);
  std::vector<int> inherited;
  for (const auto& fd : {options.ready_fd, options.client_fd}) {
    if (fd) inherited.push_back(*fd);
  }
  close_all_but(inherited);
  set_up_log(options.log_format, options.log_level, options.module_log_level.value_or(options.log_level));
  const FinishLog finish_log_at_end;

  std::optional<Served> served;
  if (!options.client_fd) {
    auto role = serve_under_monitor(options.ready_fd);
    if (const int* status = std::get_if<int>(&role)) return *status;
    served = std::get<Served>(std::move(role));
  }
  const auto configuration = configure(options, raise_descriptor_limit());
  if (!configuration) {
    for (const std::string& error : configuration.error()) fmt::print(stderr, "{}\n", error);
    return 2;
  }
  const auto prepared = prepare(*configuration);
  return prepared ? serve(*configuration, *prepared, std::move(served)) : 1;
}
