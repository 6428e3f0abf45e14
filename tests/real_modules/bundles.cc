#include "tests/real_modules/bundles.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSource =
    R"json("import a, { b as c } from 'd';\n/* of */ export class E extends c { static #f = `${1n}`; async *g({ h = /i/u, ...j }) { yield* this?.[h] ?? await a; } }\nlabel: for (const k of [,]) continue label;")json";

constexpr const char* kMarkdown =
    R"json("# One *two*\n\n| a | b |\n|:--|--:|\n| `1` | ~~2~~ |\n\n- [x] done\n- [ ] not\n  1. deep <em>html</em>\n\n> quoted &copy; ünï\n\n```js\nlet a = 1 < 2;\n```\n\n## Three [link](https://a.example/?b=c&d \"title\")\nhttps://bare.example line\nbreak\\\nhard\n\n![image](x.png) [ref]\n\n[ref]: <y z>\n---\n")json";

constexpr const char* kOrders =
    R"json([{"customer":"b","item":"x","price":1.1},{"customer":"a","item":"y","price":2.25},{"customer":"b","item":"x","price":10},{"customer":"a","item":"z","price":8.85}])json";

constexpr const char* kOrder =
    R"json({"id":"3f2504e0-4f89-41d3-9a0c-0305e82c3301","email":"a@b.example","address":{"street":"S","city":"C","zip":"12345"},"payment":{"kind":"transfer","iban":"DE1"},"items":[{"name":" n ","count":2}],"placed":"2024-02-29T12:00:00Z"})json";

constexpr const char* kWrongOrder =
    R"json({"id":"3f2504e0","email":"a@","address":{"street":"","city":7,"zip":"1234x"},"payment":{"kind":"cash"},"items":[{"name":1,"count":-2.5}],"note":"more than twenty characters","placed":"2023-02-29T12:00:00Z","more":1})json";

constexpr const char* kChecked =
    R"json([{"id":"AB-12","items":[{"name":"n","count":2,"kind":null,"parts":[{"name":"p","count":4}]}]},{"id":"x","items":[]},{"items":[{"count":3},{"count":3}],"note":"too long","other":1},{"id":"AB-1","items":[{"name":"n","count":0,"kind":"c","parts":[{}]}]},null])json";

constexpr const char* kAccount =
    R"json({"Account":{"Order":[{"OrderID":"o1","Product":[{"Name":"Hat","Price":34.45,"Quantity":2},{"Name":"Shoe","Price":21.67,"Quantity":1}]},{"OrderID":"o2","Product":[{"Name":"Hat","Price":30,"Quantity":4}]}]}})json";

std::string evaluated(const std::string& expression) {
  return fmt::format(R"({{"expression":{},"input":{}}})", nlohmann::json(expression).dump(), kAccount);
}

std::vector<RealModule> made_real_modules() {
  const std::vector<RealCall> react = {
      {"html", R"({"title":"A & B","items":[{"name":"<one>","count":1},{"name":"two","count":2}]})"},
      {"markup", R"({"title":"A","items":[{"name":"one","count":1}]})"},
      {"page", R"({"title":"T","slow":[["first",60],["second",1]]})"},
      {"failing", R"("it")"},
      {"html", R"({"title":"no items"})"}};
  return {
      {"acorn",
       "acorn.cjs",
       {{"count", kSource},
        {"tree", kSource},
        {"tokens", kSource},
        {"countItself", "null"},
        {"tree", R"("let a;\nlet a;")"},
        {"tokens", R"("'open")"}}},
      {"ajv",
       "ajv.cjs",
       {{"check", kChecked, Needs::code_from_strings},
        {"own",
         R"({"schema":{"type":"object","properties":{"a":{"type":"integer","default":3},"b":{"type":"string","pattern":"^\\p{L}+$"}}},"values":[{},{"a":"4"},{"b":"ü1"},7]})",
         Needs::code_from_strings},
        {"own", R"({"schema":{"type":"nothing"},"values":[]})", Needs::code_from_strings}}},
      {"ajv_standalone", "ajv_standalone.cjs", {{"check", kChecked}}},
      {"date-fns",
       "date-fns.mjs",
       {{"formats",
         R"({"at":"2024-02-29T23:05:09.087Z","patterns":["PPPPpppp","EEEE do MMMM yyyy","'week' I, R-'W'II-i","QQQ h:mm bbbb","xxx O X"]})"},
        {"between", R"({"from":"2024-01-31","to":"2024-03-29T12:30:00"})"},
        {"parsed",
         R"([["1. März 2024 13:05","d. MMMM yyyy HH:mm"],["2024-W09-4","RRRR-'W'II-i"],["020229","yyMMdd"]])"},
        {"parsed", R"([["no date","yyyy"]])"},
        {"formats", R"({"at":"2024-02-29","patterns":["YYYY"]})"}}},
      {"dayjs",
       "dayjs.mjs",
       {{"formats", R"({"at":1709251509087,"patterns":["dddd, MMMM D, YYYY h:mm:ss.SSS A Z","[Q] DDDD","YY-M-D H"]})"},
        {"inZones",
         R"({"at":1709251509087,"zones":["Europe/Berlin","America/New_York","Asia/Kolkata","Pacific/Chatham","UTC"]})"},
        {"inZones", R"({"at":0,"zones":["Nowhere/Land"]})"},
        {"local", "1709251509087"},
        {"between", R"({"from":"2024-01-31T10:00:00Z","to":"2025-03-29T12:30:00Z"})"},
        {"parsed", R"([["31.12.2023 23:59","DD.MM.YYYY HH:mm"],["2023-02-30","YYYY-MM-DD"],["5 PM","h A"]])"}}},
      {"hash-wasm",
       "hash-wasm.cjs",
       {{"hashes", R"("Grüße, 世界")", Needs::web_assembly},
        {"pieces", R"({"piece":"0123456789abcdef","times":20000})", Needs::web_assembly},
        {"passwords", R"("correct horse")", Needs::web_assembly}}},
      {"jsonata",
       "jsonata.cjs",
       {{"evaluate", evaluated("Account.Order.Product{Name: $sum($.(Price * Quantity))}")},
        {"evaluate", evaluated("Account.Order[$max(Product.Quantity) > 3].OrderID ~> $uppercase")},
        {"evaluate",
         evaluated("$map(Account.Order.Product, function($p, $i) { $i & ': ' & $formatNumber($p.Price, '#,##0.0') })")},
        {"evaluate", evaluated("($f := function($n) { $n <= 1 ? 1 : $n * $f($n - 1) }; [1..10].$f($))")},
        {"evaluate",
         evaluated("$toMillis('2024-02-29T00:00:00Z') ~> $fromMillis('[D1o] [MNn] [Y], [F]') ~> $match(/[A-Z]\\w+/)")},
        {"withFunctions", evaluated("Account.Order.Product^(>Price).($later(Quantity) * $rate)")},
        {"fault", R"json("1 + 'a' & $nothing(1)")json"},
        {"fault", R"("a[")"},
        {"tree", R"json("a.b[c=1]{d: $sum(e)}")json"}}},
      {"lodash",
       "lodash.cjs",
       {{"summarize", kOrders},
        {"words", R"("déjà Vu fooBar-BAZ <b>& 👩‍👧 42nd</b>")"},
        {"clones", R"({"a":[{"e":[1]}],"n":null})"},
        {"debounced", "[1,2,3]"},
        {"sorted", R"({"seed":7,"count":5000})"},
        {"render", R"({"template":"<% values.forEach(v => { %><i><%- v %></i><% }) %>","values":{"values":["<",2]}})",
         Needs::code_from_strings}}},
      {"marked",
       "marked.mjs",
       {{"html", kMarkdown},
        {"outline", kMarkdown},
        {"tokens", kMarkdown},
        {"repeated", R"({"text":"* a **b** _c_ [d](e)\n\n    code\n\n1. f\n","times":500})"},
        {"html", "7"}}},
      {"mustache",
       "mustache.cjs",
       {{"render",
         R"json({"template":"{{#list}}{{> row}}{{/list}}{{^empty}}none {{{raw}}} {{raw}}{{/empty}}{{! no }}{{a.b.c}}","view":{"list":[{"n":1},{"n":"<"}],"empty":[],"raw":"<&\">","a":{"b":{"c":3}}},"partials":{"row":"({{n}})"}})json"},
        {"lambdas", R"({"names":["ä","b"]})"},
        {"tags", R"("a <%b%> <%#c%>d<%/c%>")"},
        {"rows", "2000"},
        {"render", R"({"template":"{{#open}}","view":{}})"}}},
      {"react", "react.mjs", react},
      // React's build for browsers, which waits for messages where the other build waits for timers.
      {"react-browser", "react-browser.mjs", react},
      {"uuid",
       "uuid.mjs",
       {{"random", "200"},
        {"named", R"(["https://example.org/","ü"])"},
        {"given", R"({"bytes":[16,145,86,190,196,251,193,234,113,180,239,225,103,28,88,54],"msecs":1709251509087})"},
        {"taken", R"("6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b")"},
        {"taken", R"("6ec0bd7f")"}}},
      {"zod",
       "zod.mjs",
       {{"check", kOrder},
        {"check", kWrongOrder},
        {"checkLater", R"(["a","root"])"},
        {"schema", "null"},
        {"coerced", R"(["7","no","yes",null,true])"},
        {"price", R"({"total":10})"},
        {"price", "{}"},
        {"price", R"({"total":"x"})"}}},
  };
}

}  // namespace

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  REQUIRE_MESSAGE(value != nullptr, name, " is not set: run the tests by `meson test`");
  return value;
}

const std::vector<RealModule>& real_modules() {
  static const std::vector<RealModule> modules = made_real_modules();
  return modules;
}

const RealModule& real_module(const std::string& name) {
  const auto found = std::find_if(real_modules().begin(), real_modules().end(),
                                  [&](const RealModule& module) { return module.name == name; });
  REQUIRE(found != real_modules().end());
  return *found;
}

fs::path bundle_of(const RealModule& module) {
  return from_environment("HOLDFAST_TEST_BUNDLES") / fs::path(module.bundle);
}

std::shared_ptr<TemporaryFolder> folder_with_bundles(int versions) {
  auto folder = std::make_shared<TemporaryFolder>();
  fs::create_directory(folder->path() / "modules");
  for (const RealModule& module : real_modules()) {
    const fs::path bundle = bundle_of(module);
    for (int version = 1; version <= versions; ++version) {
      fs::copy_file(bundle, folder->path() / "modules" /
                                fmt::format("{}-v{}{}", module.name, version, bundle.extension().string()));
    }
  }
  return folder;
}

std::string outcome_of(ipc::Client& client, const RealModule& module, const RealCall& to) {
  std::string texts;
  bool streamed = false;
  const CallTo wanted{module.name, to.function, to.payload};
  const ipc::Answer answer = client.call(wanted.request(), {.on_chunk = [&](ipc::Result chunk) {
                                           texts += nlohmann::json::parse(chunk.payload).get<std::string>();
                                           streamed = true;
                                         }});
  return streamed && answer ? nlohmann::json(texts).dump() : outcome(answer);
}

std::vector<std::string> outcomes_in_node(const RealModule& module) {
  std::string calls;
  for (const RealCall& to : module.calls) {
    calls += fmt::format("{}[\"{}\",{}]", calls.empty() ? "" : ",", to.function, to.payload);
  }
  const Finished done = run({from_environment("HOLDFAST_TEST_NODE"), from_environment("HOLDFAST_TEST_RUN_IN_NODE"),
                             bundle_of(module), "[" + calls + "]"},
                            {.environment = {"TZ=UTC"}});
  REQUIRE_MESSAGE(done.status == 0, done.errors);
  std::vector<std::string> outcomes;
  for (std::size_t at = 0, end; (end = done.output.find('\0', at)) != std::string::npos; at = end + 1) {
    outcomes.push_back(done.output.substr(at, end - at));
  }
  REQUIRE(outcomes.size() == module.calls.size());
  return outcomes;
}

}  // namespace holdfast::test
