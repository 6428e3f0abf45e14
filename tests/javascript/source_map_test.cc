// Inline source maps: wherever a stack is shown, it shows the author's source.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

// The output of esbuild --bundle --minify --format=cjs --sourcemap=inline for src/app.ts and src/lib/helper.ts.
constexpr const char* kBundle =
    R"js(var a=Object.defineProperty;var s=Object.getOwnPropertyDescriptor;var p=Object.getOwnPropertyNames;v)js"
    R"js(ar i=Object.prototype.hasOwnProperty;var l=(r,e)=>{for(var n in e)a(r,n,{get:e[n],enumerable:!0})},w)js"
    R"js(=(r,e,n,c)=>{if(e&&typeof e=="object"||typeof e=="function")for(let t of p(e))!i.call(r,t)&&t!==n&&a)js"
    R"js((r,t,{get:()=>e[t],enumerable:!(c=s(e,t))||c.enumerable});return r};var y=r=>w(a({},"__esModule",{va)js"
    R"js(lue:!0}),r);var g={};l(g,{cause:()=>d,later:()=>b,spin:()=>h,stack:()=>f,start:()=>x});module.export)js"
    R"js(s=y(g);var u=class{greet(e){throw new RangeError("too deep: "+e)}},m=r=>(new u().greet(r),1);functio)js"
    R"js(n o(r){return m(r)}function x(r){return o(r.a)}async function b(r){return await null,o(2)}var h=()=>)js"
    R"js({for(;;);},f=()=>new Error("x").stack,d=()=>{try{o(1)}catch(r){throw new Error("outer",{cause:r})}};)js"
    R"js(
//# sourceMappingURL=data:application/json;base64,ewogICJ2ZXJzaW9uIjogMywKICAic291cmNlcyI6IFsic3JjL)js"
    R"js(2FwcC50cyIsICJzcmMvbGliL2hlbHBlci50cyJdLAogICJzb3VyY2VzQ29udGVudCI6IFsiaW50ZXJmYWNlIFBheWxvYWQgeyBhO)js"
    R"js(iBudW1iZXIgfVxuXG5pbXBvcnQgeyBoZWxwZXIgfSBmcm9tICcuL2xpYi9oZWxwZXInO1xuXG5leHBvcnQgZnVuY3Rpb24gc3Rhc)js"
    R"js(nQocGF5bG9hZDogUGF5bG9hZCk6IG51bWJlciB7XG4gIHJldHVybiBoZWxwZXIocGF5bG9hZC5hKTtcbn1cbmV4cG9ydCBhc3luY)js"
    R"js(yBmdW5jdGlvbiBsYXRlcihwOiBQYXlsb2FkKSB7IGF3YWl0IG51bGw7IHJldHVybiBoZWxwZXIoMik7IH1cbmV4cG9ydCBjb25zd)js"
    R"js(CBzcGluID0gKCkgPT4geyB3aGlsZSAodHJ1ZSkgeyB9IH07XG5leHBvcnQgY29uc3Qgc3RhY2sgPSAoKSA9PiBuZXcgRXJyb3IoJ)js"
    R"js(3gnKS5zdGFjaztcbmV4cG9ydCBjb25zdCBjYXVzZSA9ICgpID0+IHsgdHJ5IHsgaGVscGVyKDEpIH0gY2F0Y2ggKGUpIHsgdGhyb)js"
    R"js(3cgbmV3IEVycm9yKCdvdXRlcicsIHsgY2F1c2U6IGUgfSk7IH0gfTtcbiIsICJ0eXBlIFggPSB7IHk6IHN0cmluZyB9O1xuY2xhc)js"
    R"js(3MgR3JlZXRlciB7IGdyZWV0KGRlZXA6IG51bWJlcikgeyB0aHJvdyBuZXcgUmFuZ2VFcnJvcigndG9vIGRlZXA6ICcgKyBkZWVwK)js"
    R"js(TsgfSB9XG5jb25zdCBhcnJvd0Z1bmN0aW9uID0gKHg6IG51bWJlcikgPT4ge1xuICBuZXcgR3JlZXRlcigpLmdyZWV0KHgpO1xuI)js"
    R"js(CByZXR1cm4gMTtcbn07XG5leHBvcnQgZnVuY3Rpb24gaGVscGVyKHg6IG51bWJlcik6IG51bWJlciB7XG4gIGNvbnN0IHkgPSBhc)js"
    R"js(nJvd0Z1bmN0aW9uKHgpO1xuICByZXR1cm4geTtcbn1cbiJdLAogICJtYXBwaW5ncyI6ICI0WkFBQSxJQUFBQSxFQUFBLEdBQUFDL)js"
    R"js(EVBQUFELEVBQUEsV0FBQUUsRUFBQSxVQUFBQyxFQUFBLFNBQUFDLEVBQUEsVUFBQUMsRUFBQSxVQUFBQyxJQUFBLGVBQUFDLEVBQ)js"
    R"js(UFQLEdDQ0EsSUFBTVEsRUFBTixLQUFjLENBQUUsTUFBTUMsRUFBYyxDQUFFLE1BQU0sSUFBSSxXQUFXLGFBQWVBLENBQUksQ0FBR)js"
    R"js(yxDQUFFLEVBQzdFQyxFQUFpQkMsSUFDckIsSUFBSUgsRUFBUSxFQUFFLE1BQU1HLENBQUMsRUFDZCxHQUVGLFNBQVNDLEVBQU9EL)js"
    R"js(EVBQW1CLENBRXhDLE9BRFVELEVBQWNDLENBQUMsQ0FFM0IsQ0RMTyxTQUFTRSxFQUFNQyxFQUEwQixDQUM5QyxPQUFPQyxFQUFPR)js"
    R"js(CxFQUFRLENBQUMsQ0FDekIsQ0FDQSxlQUFzQkUsRUFBTUMsRUFBWSxDQUFFLGFBQU0sS0FBYUYsRUFBTyxDQUFDLENBQUcsQ0FDa)js"
    R"js(kUsSUFBTUcsRUFBTyxJQUFNLENBQUUsT0FBYSxDQUFJLEVBQ2hDQyxFQUFRLElBQU0sSUFBSSxNQUFNLEdBQUcsRUFBRSxNQUM3Q)js"
    R"js(kMsRUFBUSxJQUFNLENBQUUsR0FBSSxDQUFFTCxFQUFPLENBQUMsQ0FBRSxPQUFTTSxFQUFHLENBQUUsTUFBTSxJQUFJLE1BQU0sU)js"
    R"js(UFBUyxDQUFFLE1BQU9BLENBQUUsQ0FBQyxDQUFHLENBQUUiLAogICJuYW1lcyI6IFsiYXBwX2V4cG9ydHMiLCAiX19leHBvcnQiL)js"
    R"js(CAiY2F1c2UiLCAibGF0ZXIiLCAic3BpbiIsICJzdGFjayIsICJzdGFydCIsICJfX3RvQ29tbW9uSlMiLCAiR3JlZXRlciIsICJkZ)js"
    R"js(WVwIiwgImFycm93RnVuY3Rpb24iLCAieCIsICJoZWxwZXIiLCAic3RhcnQiLCAicGF5bG9hZCIsICJoZWxwZXIiLCAibGF0ZXIiL)js"
    R"js(CAicCIsICJzcGluIiwgInN0YWNrIiwgImNhdXNlIiwgImUiXQp9Cg==)js";

const std::string kComment = "\n//# sourceMappingURL=data:application/json;base64,";

TEST_CASE("a stack shows the original files, lines, columns and names") {
  for (const char* profile : kProfiles) {
    Daemon daemon({.modules = {{"app", kBundle}}, .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    const auto error = error_of(call(client, {"app", "start", R"({"a":1})"}));
    CHECK(error.message == "RangeError: too deep: 1");
    CHECK(contains(error.stack, "greet (src/lib/helper.ts:2:45)\n"));
    CHECK(contains(
        error.stack,
        "\n    at arrowFunction (src/lib/helper.ts:4:17)\n    at helper (src/lib/helper.ts:8:13)\n    at start "
        "(src/app.ts:6:10)"));
    CHECK(contains(error_of(call(client, {"app", "later"})).stack, "at later (src/app.ts:8:62)"));
    const auto cause = error_of(call(client, {"app", "cause"}));
    CHECK(contains(cause.stack, "at cause (src/app.ts:11:66) {\n  [cause]: RangeError: too deep: 1\n"));
    daemon.stop();
  }
}

TEST_CASE("a module sees its own stacks as the author wrote it, and Error.prepareStackTrace is asked first") {
  Daemon daemon({.modules = {{"app", kBundle}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"app", "stack"})) == R"js("Error: x\n    at stack (src/app.ts:10:28)")js");
  Daemon own(
      {.modules = {{"app", "Error.prepareStackTrace = (error, sites) => `${error.message} ${sites.length > 0}`;" +
                               std::string(kBundle)}}});
  ipc::Client other = own.connect();
  CHECK(outcome(call(other, {"app", "stack"})) == "\"x true\"");
}

TEST_CASE("the stack of a loop that was stopped shows where it was written, and under which names") {
  for (const char* profile : kProfiles) {
    Daemon daemon({.modules = {{"app", kBundle}}, .flags = {"--profile", profile, "--stretch", "100ms"}});
    ipc::Client client = daemon.connect();
    const auto error = error_of(call(client, {"app", "spin"}));
    CHECK(error.code == ipc::ErrorCode::cpu_exceeded);
    CHECK(contains(error.stack, "at spin (src/app.ts:9:"));
    daemon.stop();
  }
}

TEST_CASE("the stack of a loop that is on the CPU at its deadline shows where it was written, and under which names") {
  Daemon daemon({.modules = {{"app", kBundle}}, .flags = {"--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  CHECK(contains(outcome(call(client, {"app", "stack"})), "src/app.ts"));  // loads the module first
  const auto error = error_of(call(client, {.module = "app", .function = "spin", .timeout = std::chrono::seconds(1)}));
  CHECK(error.code == ipc::ErrorCode::deadline_exceeded);
  CHECK(contains(error.stack, "at spin (src/app.ts:9:"));
}

// The source of function i is named "fill" and is on line 2 of a.ts.
const std::string kFill =
    "exports.f=()=>{let i=n=>{for(;;)n.push('x'.repeat(1e3)+n.length)};i([])};" + kComment +
    "eyJ2ZXJzaW9uIjozLCJzb3VyY2VzIjpbImEudHMiXSwibmFtZXMiOlsiZmlsbCJdLCJtYXBwaW5ncyI6IkFBQUEsbUJBQ01BIn0=";

TEST_CASE("the stack of a module that used up its memory shows the original names") {
  for (const char* profile : kProfiles) {
    Daemon daemon(
        {.modules = {{"app", kFill}}, .flags = {"--profile", profile, "--memory", "16MB", "--stretch", "1m"}});
    ipc::Client client = daemon.connect();
    const auto error = error_of(call(client, {"app", "f"}));
    CHECK(error.code == ipc::ErrorCode::out_of_memory);
    CHECK(contains(error.stack, "at fill (a.ts:2:7)"));
    daemon.stop();
  }
}

TEST_CASE("the place of a loop is reported by the names that V8 knows if a module turns off stacks") {
  for (const char* poison : {"Object.freeze(Error);", "Object.defineProperty(Error, 'stackTraceLimit', { value: 0 });",
                             "Error.prepareStackTrace = () => { for (;;); };"}) {
    CAPTURE(poison);
    Daemon daemon({.modules = {{"app", std::string(kFill).insert(kFill.find('\n'), std::string("\n") + poison)}},
                   .flags = {"--stretch", "100ms", "--memory", "1GB"}});
    ipc::Client client = daemon.connect();
    const auto error = error_of(call(client, {"app", "f"}));
    CHECK(error.code == ipc::ErrorCode::cpu_exceeded);
    CHECK(contains(error.stack, " (a.ts:2:7)"));
    daemon.stop();
  }
}

TEST_CASE("a load that fails shows the line that was written") {
  // Line 1, column 1 of the loaded code is line 2, column 3 of top.ts.
  const std::string map =
      "eyJzb3VyY2VzIjpbInRvcC50cyJdLCJzb3VyY2VzQ29udGVudCI6WyJvbmVcbiAgdHdvPHN0cmluZz4oKTtcbiJdLCJtYXBwaW5ncyI6IkFBQ0Ui"
      "fQ==";
  Daemon daemon({.modules = {{"top", "two();" + kComment + map}}});
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"top", "f"}));
  CHECK(error.message == "ReferenceError: two is not defined");
  CHECK(error.stack.starts_with("top.ts:2\n  two<string>();\n  ^\n    at "));
  CHECK(contains(error.stack, "(top.ts:2:3)"));
  CHECK(error.detail == "  two<string>();");
}

TEST_CASE("a load that fails where a map names a column far behind its line says why, and is not stopped") {
  // Line 1, column 1 of the loaded code is line 1, column 2000000001 of a.ts, whose line is shorter.
  const std::string map =
      "eyJzb3VyY2VzIjpbImEudHMiXSwic291cmNlc0NvbnRlbnQiOlsidHdvKCk7Il0sIm1hcHBpbmdzIjoiQUFBZ2dxMm0zRCJ9";
  Daemon daemon({.modules = {{"top", "two();" + kComment + map}}});
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"top", "f"}));
  CHECK(error.message == "ReferenceError: two is not defined");
  CHECK(error.stack.starts_with("a.ts:1\ntwo();\n      ^\n    at "));
}

TEST_CASE("a source map that is broken or wrong or slow changes only reported places") {
  const std::string code = "exports.f = () => { throw new Error('mine'); };\nexports.g = () => 1;";
  for (const std::string& map :
       {std::string("AAAA"), std::string("e30="),
        std::string("eyJzb3VyY2VzIjpbImEiXSwibWFwcGluZ3MiOiJnZ2dnZ2dnZ2dnIn0="), std::string(4 << 20, 'A'),
        std::string(4 << 20, 'W'), std::string("W1tb") + std::string(4 << 20, 'b')}) {
    Daemon daemon({.modules = {{"m", code + kComment + map}}});
    ipc::Client client = daemon.connect();
    const auto error = error_of(call(client, {"m", "f"}));
    CHECK(error.message == "Error: mine");
    CHECK(contains(error.stack, "m-v1.js:1:27"));
    CHECK(outcome(call(client, {"m", "g"})) == "1");
    CHECK(worker_of(client, "m").calls_done == 2);
    daemon.stop();
  }
}

TEST_CASE("a module with a map that has changed all that stacks are made of is answered") {
  const std::string poison = R"js(
      const fail = () => { throw new Error('poison'); };
      let site;
      Error.prepareStackTrace = (error, sites) => { site = sites[0]; return ''; };
      new Error().stack;
      delete Error.prepareStackTrace;
      const poison = (object) => {
        for (let i = 0, keys = Reflect.ownKeys(object); i < keys.length; i++) {
          try { if (typeof object[keys[i]] === 'function' && keys[i] !== 'constructor') object[keys[i]] = fail; } catch {}
        }
      };
      poison(Object.getPrototypeOf(site));
      poison(RegExp.prototype); poison(Error.prototype); poison(String.prototype); poison(Array.prototype);
  )js";
  std::string bundle = kBundle;
  bundle.insert(bundle.find("\n//# "), "\n" + poison);
  Daemon daemon({.modules = {{"m", bundle}}});
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"m", "start", R"({"a":1})"}));
  CHECK(error.message == "RangeError: too deep: 1");
  CHECK(contains(error.stack, "src/lib/helper.ts:"));
}

}  // namespace
}  // namespace holdfast::test
