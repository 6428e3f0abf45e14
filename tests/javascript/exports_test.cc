// Which function of a module a call reaches, and what the error says if there is none.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

// Calls functions of one module file.
class Exporter {
 public:
  Exporter(const std::string& extension, const std::string& code) {
    daemon_.folder()->write("modules/m-v1" + extension, code);
  }
  std::string outcome_of(const std::string& function) { return outcome(call(client_, {"m", function, "1"})); }
  // The part of the error that says what the module exports and what to do.
  std::string exported_for(const std::string& function) {
    const std::string said = outcome_of(function);
    const std::string before = fmt::format("not_found: module m@v1 exports no function \"{}\"; it exports: ", function);
    CHECK(said.starts_with(before));
    return said.substr(std::min(before.size(), said.size()));
  }

 private:
  Daemon daemon_{DaemonOptions{}};
  ipc::Client client_ = daemon_.connect();
};

TEST_CASE("if module.exports is a function it is the default export and its own properties are exports") {
  for (const char* code :
       {"module.exports = async (payload) => ({ got: payload });",
        "module.exports = function handler(payload) { return { got: payload }; };",
        "exports.default = (payload) => ({ got: payload });",
        "Object.defineProperty(exports, '__esModule', { value: true }); exports.default = (p) => ({ got: p });",
        "module.exports = () => 'not this'; module.exports.default = (p) => ({ got: p });"}) {
    CAPTURE(code);
    Exporter exporter(".js", code);
    CHECK(exporter.outcome_of("default") == R"({"got":1})");
    CHECK(exporter.outcome_of("") == R"({"got":1})");
  }
  Exporter exporter(".js",
                    "module.exports = function () { return this === undefined || this === globalThis; }; "
                    "module.exports.f = () => 'f';");
  CHECK(exporter.outcome_of("default") == "true");
  CHECK(exporter.outcome_of("f") == "\"f\"");
  CHECK(exporter.exported_for("g") == "default, f");
  CHECK(exporter.exported_for("name") == "default, f");
}

TEST_CASE("a call without a function's name calls default, and is told so") {
  Exporter exporter(".mjs", "export default (payload, context) => context.function; export const f = 1;");
  CHECK(exporter.outcome_of("") == "\"default\"");
  Exporter none(".mjs", "export const f = () => 1;");
  CHECK(none.outcome_of("") == "not_found: module m@v1 exports no function \"default\"; it exports: f");
}

TEST_CASE("a call without a function's name on a direct line calls default") {
  Daemon daemon(
      {.modules = {{"m", "module.exports = (payload, context) => context.function;"}}, .flags = {"--direct-line"}});
  ipc::Client client = daemon.connect();
  REQUIRE(client.open_line({"m", "v1"}).has_value());
  const auto answer = call(client, {"m", ""});
  CHECK(answer.usage.attempts == 0);
  CHECK(outcome(answer) == "\"default\"");
}

TEST_CASE("the error about a missing function says which kinds of exports there are") {
  Exporter exporter(".js", R"js(
      module.exports = { f() {}, n: 1, text: 't', none: null, list: [], api: { g() {} }, map: new Map(), get broken() { throw 1; },
                         class() {} };
  )js");
  CHECK(exporter.exported_for("x") ==
        "f, n (a number), text (a string), none (null), list (an array), api (an object), map (an instance of Map), "
        "broken "
        "(it cannot be read), class");
  CHECK(exporter.exported_for("n").starts_with("f, n (a number), "));
  CHECK(exporter.outcome_of("class") == "null");
}

TEST_CASE("the error about a bundle without exports names the format to use") {
  Exporter iife(".js", "var Lib = (() => { var exports = {}; exports.convert = (p) => p; return exports; })();");
  const std::string said = iife.exported_for("convert");
  CHECK(said.starts_with("nothing; "));
  CHECK(contains(said, "module.exports"));
  CHECK(contains(said, "--format=cjs or --format=esm"));
  Exporter es_module(".mjs", "const f = () => 1;");
  CHECK(es_module.exported_for("f") == "nothing; write export before the functions to call");
}

TEST_CASE("an instance, a class and a Promise are named as such, with what to export instead") {
  constexpr const char* kService =
      "class Service { constructor() { this.base = 5; } add(p) { return p + this.base; } }\n";
  for (const auto& [extension, code] :
       {std::pair{".js", "module.exports = new Service();"}, std::pair{".mjs", "export default new Service();"}}) {
    Exporter instance(extension, std::string(kService) + code);
    const std::string said = instance.exported_for("add");
    CHECK(contains(said, "base (a number)"));
    CHECK(contains(said, "\"add\" is a method of the class Service; methods of a class instance are not exports"));
    CHECK_FALSE(contains(instance.exported_for("toString"), "is a method"));
    CHECK_FALSE(contains(instance.exported_for("constructor"), "is a method"));
  }
  for (const auto& [extension, code, function] : {std::tuple{".js", "module.exports = Service;", "default"},
                                                  std::tuple{".js", "module.exports = Service;", "add"},
                                                  std::tuple{".js", "exports.Service = Service;", "Service"},
                                                  std::tuple{".mjs", "export default Service;", "default"},
                                                  std::tuple{".mjs", "export { Service };", "Service"}}) {
    Exporter of_class(extension, std::string(kService) + code);
    CHECK(contains(of_class.exported_for(function), "(a class); a class cannot be called"));
  }
  Exporter promise(".mjs", "const load = async () => { await null; return (p) => p; }; export default load();");
  CHECK(promise.exported_for("default") ==
        "default (a Promise); the default export is a Promise: await it where it is exported");
  Exporter awaited(".mjs", "const load = async () => { await null; return (p) => p; }; export default await load();");
  CHECK(awaited.outcome_of("default") == "1");
  Exporter common_js(".js", "module.exports = Promise.resolve({ f: () => 1 });");
  CHECK(common_js.exported_for("f") == "nothing; module.exports is a Promise: export an async function that awaits it");
  Exporter object(".mjs", "export default { f() {} };");
  CHECK(object.exported_for("default") == "f; the default export is not a function: call one of these");
}

TEST_CASE("an error of a class that a function uses is its own error and a static method can be called") {
  Exporter exporter(".js", R"js(
      class Service { static make(p) { return p; } }
      module.exports = Service;
      module.exports.calls = () => Service();
  )js");
  CHECK(exporter.outcome_of("make") == "1");
  CHECK(contains(exporter.outcome_of("calls"), "exception: TypeError: Class constructor Service cannot be invoked"));
}

}  // namespace
}  // namespace holdfast::test
