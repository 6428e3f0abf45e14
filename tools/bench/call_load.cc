// Calls functions through a running holdfastd, with the client library, as fast as they are answered.
#include <fmt/format.h>

#include <stdexcept>

#include "ipc/base/module_name.h"
#include "ipc/client.h"
#include "tools/bench/load.h"

namespace holdfast::load {
namespace {

// The client belongs to make_calls() and outlives this object.
class Calls {
 public:
  Calls(ipc::Client& client, Load& load, std::vector<ipc::ModuleName> modules, std::string function,
        const LoadOptions& options)
      : client_(client),
        load_(load),
        modules_(std::move(modules)),
        function_(std::move(function)),
        payload_(options.payload) {}

  void make(std::size_t in_flight) {
    for (std::size_t i = 0; i < in_flight; ++i) begin_next();
    while (client_.open_calls() > 0) {
      client_.run_once();
      if (!problem_.empty()) throw std::runtime_error(problem_);
    }
  }

 private:
  void begin_next() {
    const auto target = load_.next();
    if (!target) return;
    const auto begun = Clock::now();
    client_.start({.module = modules_[*target].module,
                   .version = modules_[*target].version,
                   .function = function_,
                   .payload = ipc::as_bytes(payload_)},
                  [this, begun](const ipc::Answer& answer) { answered(begun, answer); });
  }

  // Handlers must not throw.
  void answered(Clock::time_point begun, const ipc::Answer& answer) {
    try {
      if (!answer) throw std::runtime_error(fmt::format("a call failed: {}", answer.error().message));
      load_.answered(begun, answer->payload);
      begin_next();
    } catch (const std::exception& error) {
      problem_ = error.what();
    }
  }

  ipc::Client& client_;
  Load& load_;
  const std::vector<ipc::ModuleName> modules_;
  const std::string function_;
  const std::string& payload_;
  std::string problem_;
};

void make_calls(const LoadOptions& options, const std::string& function, Load& load) {
  std::vector<ipc::ModuleName> modules;
  for (const std::string& target : options.targets) {
    auto module = ipc::parse_module_name(target);
    if (!module) throw std::runtime_error(module.error());
    modules.push_back(std::move(*module));
  }
  auto client = ipc::Client::connect(options.address, {.name = "call_load"});
  if (!client) throw std::runtime_error(client.error().message);
  Calls(*client, load, std::move(modules), function, options).make(options.in_flight);
}

}  // namespace
}  // namespace holdfast::load

int main(int argc, char** argv) {
  using namespace holdfast::load;
  std::string function;
  const LoadProgram program = {.description = "Calls functions through a running holdfastd.",
                               .address_help = "holdfastd's socket",
                               .target_name = "MODULE@VERSION",
                               .target_help = "the modules that are called, in turn",
                               .options = {{"--function", "the function to call in each module", &function}}};
  return run(argc, argv, program, [&](const LoadOptions& options, Load& load) { make_calls(options, function, load); });
}
