#include "tools/cli/doctor/engine_features.h"

#include <fmt/format.h>

#include <string>

namespace holdfast::cli {
namespace {

struct Feature {
  const char* function;  // a function of kEngineFeaturesCode
  const char* aspect;
  const char* seen;  // the finding's text if it works
  bool in_strict = true;
};

// WebAssembly comes last because it demands the most from the processor.
constexpr Feature kFeatures[] = {
    {"runHotLoop", "hot loop", "ran; compiled, unless the profile is strict"},
    {"runRegularExpression", "regular expression", "matched"},
    {"useIntl", "Intl", "formatted a date and a number"},
    {"drawRandomBytes", "random bytes", "drawn"},
    {"digest", "digest", "SHA-256 is right"},
    {"compress", "compression", "decompressed to the original bytes"},
    {"waitForTimer", "timer", "fired"},
    {"runWebAssembly", "WebAssembly", "compiled, ran and trapped", false},
};

constexpr const char* kAdvice =
    "the engine does not run correctly in the sandbox on this host: report it with the processor (lscpu), the "
    "kernel (uname -a) and this output";

}  // namespace

const std::string_view kEngineFeaturesCode = R"js(
const expect = (found, wanted) => { if (found !== wanted) throw new Error(`got ${found} instead of ${wanted}`); };
exports.runHotLoop = () => {
  const step = (sum, i) => (sum * 31 + i) | 0;
  let sum = 0;
  for (let i = 0; i < 1e6; i++) sum = step(sum, i);
  expect(sum, 2028822816);
};
exports.runRegularExpression = () => {
  expect('a1b22c333'.repeat(2000).replace(/([a-z])(\d+)/g, '$2$1').length, 18000);
  expect(/^(?<year>\d{4})-(\d\d)/u.exec('2024-05-06').groups.year, '2024');
};
exports.useIntl = () => {
  const date = new Intl.DateTimeFormat('de', { dateStyle: 'medium', timeZone: 'Europe/Berlin' });
  expect(date.format(0), '01.01.1970');
  expect(new Intl.NumberFormat('en').format(1234567), '1,234,567');
};
exports.drawRandomBytes = () => expect(crypto.getRandomValues(new Uint8Array(64)).some((byte) => byte !== 0), true);
exports.digest = async () => {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode('abc')));
  expect(Array.from(digest.subarray(0, 4)).join(), '186,120,22,191');
};
exports.compress = async () => {
  const through = (bytes, stream) => new Response(new Response(bytes).body.pipeThrough(stream)).arrayBuffer();
  const packed = await through(new Uint8Array(100000).fill(7), new CompressionStream('gzip'));
  const bytes = new Uint8Array(await through(packed, new DecompressionStream('gzip')));
  expect(bytes.length, 100000);
  expect(bytes.every((byte) => byte === 7), true);
};
exports.waitForTimer = () => new Promise((resolve) => setTimeout(resolve, 1));
// (func (export "hot") (param i32) (result i32) sums 1 to the parameter; (func (export "trap") unreachable)
exports.runWebAssembly = async () => {
  const bytes = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 9, 2, 96, 1, 127, 1, 127, 96, 0, 0, 3, 3, 2, 0, 1, 7, 14, 2,
    3, 104, 111, 116, 0, 0, 4, 116, 114, 97, 112, 0, 1, 10, 31, 2, 25, 1, 1, 127, 3, 64, 32, 1, 32, 0, 106, 33, 1, 32, 0,
    65, 1, 107, 34, 0, 13, 0, 11, 32, 1, 11, 3, 0, 0, 11);
  const { hot, trap } = (await WebAssembly.instantiate(bytes)).instance.exports;
  for (let i = 0; i < 1000; i++) expect(hot(1000), 500500);
  let name = 'nothing';
  try { trap(); } catch (error) { name = error.constructor.name; }
  expect(name, 'RuntimeError');
};
)js";

std::vector<Finding> try_engine_features(ipc::Client& client, bool strict) {
  std::vector<Finding> findings;
  for (const Feature& feature : kFeatures) {
    if (strict && !feature.in_strict) continue;
    ipc::CallRequest request;
    request.module = "doctor";
    request.version = "1";
    request.function = feature.function;
    const auto answer = client.call(request);
    if (answer) {
      findings.push_back({"v8", feature.aspect, LayerState::active, feature.seen, ""});
    } else {
      const auto& error = answer.error();
      findings.push_back({"v8", feature.aspect, LayerState::missing,
                          fmt::format("{}: {}", ipc::to_string(error.code), error.message), kAdvice});
    }
  }
  return findings;
}

}  // namespace holdfast::cli
