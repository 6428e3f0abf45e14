#include "tools/bench/load.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace holdfast::load {
namespace {

double in_seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Load::Load(const LoadOptions& options) : options_(options) {}

bool Load::time_is_over(Clock::time_point now) const {
  return options_.seconds && in_seconds(now - start_) >= *options_.seconds;
}

std::optional<std::size_t> Load::next() {
  if (begun_ == 0) start_ = last_answer_ = Clock::now();
  if (options_.calls ? begun_ == *options_.calls : time_is_over(Clock::now())) return std::nullopt;
  return begun_++ % options_.targets.size();
}

void Load::answered(Clock::time_point begun, std::string_view answer) {
  const auto now = Clock::now();
  if (answer != options_.expected) {
    throw std::runtime_error(fmt::format("the answer was {}, expected {}", answer, options_.expected));
  }
  if (time_is_over(now)) return;
  samples_.push_back(now - begun);
  last_answer_ = now;
}

std::string Load::json() const {
  auto samples = nlohmann::json::array();
  for (const auto sample : samples_) samples.push_back(std::chrono::nanoseconds(sample).count());
  return nlohmann::ordered_json{
      {"calls", samples_.size()}, {"seconds", in_seconds(last_answer_ - start_)}, {"samples_ns", std::move(samples)}}
      .dump();
}

int run(int argc, char** argv, const LoadProgram& program,
        const std::function<void(const LoadOptions&, Load&)>& make_calls) {
  LoadOptions options;
  CLI::App app(program.description);
  app.add_option("ADDRESS", options.address, program.address_help)->required();
  app.add_option(program.target_name, options.targets, program.target_help)->required();
  for (const auto& option : program.options) app.add_option(option.name, *option.value, option.help)->required();
  app.add_option("--payload", options.payload, "the JSON payload of each call")->required();
  app.add_option("--expect", options.expected, "the JSON answer that each call must get, byte for byte")->required();
  app.add_option("--in-flight", options.in_flight, "calls that are open at all times (1)")
      ->check(CLI::Range(1, 1024).description("a number from 1 to 1024"));
  auto* until = app.add_option_group("until", "when to stop");
  until->add_option("--calls", options.calls, "stop after this many calls");
  until->add_option("--seconds", options.seconds, "stop after this time, in seconds; later answers do not count")
      ->check(CLI::PositiveNumber);
  until->require_option(1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  try {
    Load load(options);
    make_calls(options, load);
    std::puts(load.json().c_str());
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}

}  // namespace holdfast::load
