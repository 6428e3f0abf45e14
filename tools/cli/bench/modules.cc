// Cold calls by the size of the module's code.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/payload_text.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/supervisor.h"

namespace holdfast::cli::bench {
namespace {

constexpr std::array kSizes = {std::size_t{1} << 10, std::size_t{10} << 10, std::size_t{100} << 10,
                               std::size_t{1} << 20, std::size_t{5} << 20};

// A module to measure, and the name of its row.
struct Code {
  std::string what;
  std::string name;
  std::string text;
};

tl::expected<std::vector<Code>, Stop> all_code(const BenchOptions& options) {
  std::vector<Code> all;
  for (const std::size_t size : kSizes) {
    all.push_back({"cold, a standby was ready", fmt::format("size-{}", size), module_of_size(size)});
  }
  if (options.bundle.empty()) return all;
  std::ifstream file(options.bundle, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file || text.empty()) return stop(fmt::format("cannot read {}, or it is empty", options.bundle));
  text += "\n;module.exports.add = async ({ a, b }) => a + b;\n";
  all.push_back({"cold, the bundle", "bundle", std::move(text)});
  return all;
}

// Samples the first call of a new module with this code each time, always with a standby ready.
tl::expected<Series, Stop> first_calls(const Context& context, ipc::Client& client, const Code& code,
                                       unsigned samples) {
  auto modules = context.files.write_many(code.name, samples, code.text);
  if (!modules) return stop(modules.error());
  auto names = std::make_shared<const std::vector<ipc::ModuleName>>(std::move(*modules));
  Row row{.what = code.what, .parameters = {bytes("module", static_cast<double>(code.text.size()))}};
  return Series{std::move(row),
                [&context, &client, names, next = std::size_t{0}]() mutable -> tl::expected<nanoseconds, Stop> {
                  if (auto problem = wait_for_standby(context, client)) return tl::unexpected(*problem);
                  return timed_call(context, client, add_request(names->at(next++)));
                }};
}

}  // namespace

Sections run_modules(const Context& context) {
  context.progress("modules: writing them");
  const auto all = all_code(context.options);
  if (!all) return tl::unexpected(all.error());
  // Fewer samples, because large modules take memory and time.
  const unsigned samples = std::max(1U, context.options.cold_calls / 3);
  std::vector<std::string> flags = pool_flags(samples * all->size() + 1, 1);
  flags.insert(flags.end(), {"--stretch", "30s"});
  auto supervisor = BenchSupervisor::start(context, "modules", flags);
  if (!supervisor) return tl::unexpected(supervisor.error());
  auto series = fork_floors(context);
  if (!series) return tl::unexpected(series.error());
  for (const Code& code : *all) {
    auto one = first_calls(context, supervisor->client(), code, samples);
    if (!one) return tl::unexpected(one.error());
    series->push_back(std::move(*one));
  }
  auto rows = measure(context, "modules", *series, {.samples = samples, .rounds = samples});
  if (!rows) return tl::unexpected(rows.error());
  Section section{.key = "modules",
                  .title = "MODULES",
                  .rows = std::move(*rows),
                  .notes = {"A module consists of distinct functions, classes and tables; an eighth of them is used "
                            "when the module is loaded. Each cold call is to another module."},
                  .curves = {{.name = "modules",
                              .title = "Latency of cold calls by the module's size",
                              .x = "module_bytes",
                              .x_label = "code of the module"}}};
  return std::vector{std::move(section)};
}

}  // namespace holdfast::cli::bench
