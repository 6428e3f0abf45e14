// Errors: exceptions, results and payloads that cannot be passed on, and lost calls.
#include <doctest/doctest.h>
#include <signal.h>

#include <string_view>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

using ipc::Executed;

// --- exception -----------------------------------------------------------------------------------------------------

TEST_CASE("what a function throws is its call's exception: name and message, and the stack with the right lines") {
  Daemon daemon({.modules = {{"thrower", R"js(
class Mine extends RangeError { get name() { return 'Mine'; } }
function deep(value) { throw new Mine(`not ${value}`); }
exports.plain = () => deep(7);
exports.rejected = () => Promise.reject(new TypeError('rejected'));
exports.afterAwait = async () => {
  await null;
  throw new Error('after await');
};
exports.afterTimer = async () => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  throw new Error('after timer');
};
exports.argument = (payload) => payload.missing.deeper;
exports.noMessage = () => { throw new Error(); };
)js"}}});
  ipc::Client client = daemon.connect();
  const auto error = [&](const std::string& function) { return error_of(call(client, {"thrower", function})); };

  const auto plain = error("plain");
  CHECK(plain.code == ipc::ErrorCode::exception);
  CHECK(plain.message == "Mine: not 7");
  CHECK(contains(plain.stack, "at deep (thrower-v1.js:3:"));
  CHECK(contains(plain.stack, "(thrower-v1.js:4:"));
  CHECK(plain.executed == Executed::yes);
  CHECK_FALSE(plain.retryable);

  CHECK(error("rejected").message == "TypeError: rejected");
  CHECK(contains(error("rejected").stack, "thrower-v1.js:5:"));
  CHECK(error("afterAwait").message == "Error: after await");
  CHECK(contains(error("afterAwait").stack, "thrower-v1.js:8:"));
  CHECK(error("afterTimer").message == "Error: after timer");
  CHECK(contains(error("afterTimer").stack, "thrower-v1.js:12:"));
  CHECK(contains(error("argument").message, "TypeError: Cannot read properties of null"));
  CHECK(contains(error("argument").stack, "thrower-v1.js:14:"));
  CHECK(error("noMessage").message == "Error");
  for (const char* function : {"plain", "rejected", "afterAwait", "afterTimer"}) {
    CHECK_FALSE(contains(error(function).stack, "holdfast:"));  // no frames of the runtime, which authors cannot change
  }
}

TEST_CASE("anything can be thrown, and is shown as well as it can be") {
  Daemon daemon({.modules = {{"thrower", R"js(
      exports.string = () => { throw 'just text'; };
      exports.number = () => { throw 7; };
      exports.nothing = () => { throw undefined; };
      exports.nil = async () => { throw null; };
      exports.object = () => { throw { reason: 'object' }; };
      exports.symbol = () => { throw Symbol('mark'); };
      exports.function = () => { throw function thrown() {}; };
      exports.bare = () => { throw Object.create(null); };
      exports.hostileName = () => {
        const e = new Error('x');
        throw Object.defineProperty(e, 'name', { get() { throw e; } });
      };
      exports.hostileMessage = () => { throw Object.assign(new Error(), { message: { toString() { throw 1; } } }); };
      exports.hostileStack = () => { throw Object.assign(new Error('m'), { stack: Symbol('s') }); };
      exports.proxy = () => {
        throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; }, ownKeys() { throw 3; } });
      };
      exports.cyclic = () => { const o = {}; o.o = o; throw o; };
      exports.endless = () => { throw new Error('m'.repeat(10000000)); };
      exports.prepared = () => {
        Error.prepareStackTrace = () => { throw new Error('no stack'); };
        throw new Error('prepared');
      };
  )js"}}});
  ipc::Client client = daemon.connect();
  for (const std::string function :
       {"string", "number", "nothing", "nil", "object", "symbol", "function", "bare", "hostileName", "hostileMessage",
        "hostileStack", "proxy", "cyclic", "endless", "prepared"}) {
    CAPTURE(function);
    const auto answer = call(client, {"thrower", function});
    CHECK(code_of(answer) == "exception");
    CHECK(answer.error().message.size() > 0);
    CHECK(answer.error().message.size() <= 32 << 10);
  }
  CHECK(contains(error_of(call(client, {"thrower", "string"})).message, "just text"));
  CHECK(contains(error_of(call(client, {"thrower", "object"})).message, "{ reason: 'object' }"));
  CHECK(contains(error_of(call(client, {"thrower", "symbol"})).message, "Symbol(mark)"));
  CHECK(worker_of(client, "thrower").calls_done == 18);  // one process served all of them
}

TEST_CASE("a recursion without end is an exception and no crash") {
  Daemon daemon({.modules = {{"recursive", "exports.f = function f() { return f() + 1; };"}}});
  ipc::Client client = daemon.connect();
  const auto answer = call(client, {"recursive", "f"});
  CHECK(contains(outcome(answer), "exception: RangeError"));
  CHECK(contains(error_of(answer).stack, "recursive-v1.js:1:"));
}

// --- worker_crashed ------------------------------------------------------------------------------------------------

TEST_CASE("the call of a worker that is killed from outside is worker_crashed, names the signal and may be repeated") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  ::kill(worker_of(client, "holder").pid, SIGKILL);
  const auto error = error_of(calls.wait_for(0));
  CHECK(error.code == ipc::ErrorCode::worker_crashed);
  CHECK(error.detail == "SIGKILL");
  CHECK(error.executed == Executed::maybe);
  CHECK(error.retryable);
  CHECK(outcome(call(client, {"holder", "held"})) == "0");
  daemon.stop();
}

// --- payload_too_large, not_serializable, protocol_error -----------------------------------------------------------

TEST_CASE("a payload or a result beyond the limit is payload_too_large, in both directions") {
  Daemon daemon({.modules = {{"sized", "exports.make = (size) => 'x'.repeat(size); exports.take = () => 1;"}},
                 .flags = {"--memory", "256MB", "--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  const std::uint64_t limit = client.server().max_payload_bytes;
  CHECK(code_of(call(client, {"sized", "make", std::to_string(limit - 2)})) == "result");
  const auto error = error_of(call(client, {"sized", "make", std::to_string(limit - 1)}));
  CHECK(error.code == ipc::ErrorCode::payload_too_large);
  CHECK(error.executed == Executed::yes);
  CHECK(code_of(call(client, {"sized", "take", "\"" + std::string(limit - 2, 'x') + "\""})) == "result");
  const auto large = error_of(call(client, {"sized", "take", "\"" + std::string(limit - 1, 'x') + "\""}));
  CHECK(large.code == ipc::ErrorCode::payload_too_large);
  CHECK(large.executed == Executed::no);
  CHECK(outcome(call(client, {"sized", "take"})) == "1");
}

TEST_CASE("a result that JSON cannot express is not_serializable with the path of the value") {
  Daemon daemon({.modules = {{"odd", R"js(
      exports.bigint = () => ({ list: [1, { 'a key': 7n }] });
      exports.cycle = () => { const node = { child: { name: 'x' } }; node.child.parent = node; return node; };
      exports.function = () => () => 1;
      exports.symbol = () => Symbol('s');
      exports.throws = () => ({ toJSON() { throw new Error('will not'); } });
      exports.promised = async () => 7n;
      exports.deep = () => {
        const root = {};
        for (let i = 0, at = root; i < 100000; i++) at = at.a = {};
        return root;
      };
      exports.shared = () => { const leaf = {}; return { a: leaf, b: leaf }; };
      exports.undefinedFromToJSON = () => ({ toJSON() { return undefined; } });
  )js"}},
                 .flags = {"--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  const auto error = [&](const char* function) {
    auto found = error_of(call(client, {"odd", function}));
    CAPTURE(std::string_view(function));
    CHECK(ipc::to_string(found.code) == "not_serializable");
    CHECK(found.executed == Executed::yes);
    return found;
  };
  CHECK(error("bigint").detail == R"($.list[1]["a key"])");
  CHECK(error("cycle").detail == "$.child.parent");
  CHECK(contains(error("function").message, "function"));
  CHECK(contains(error("symbol").message, "symbol"));
  CHECK(contains(error("throws").message, "will not"));
  CHECK(error("promised").detail == "$");
  error("deep");
  error("undefinedFromToJSON");
  CHECK(outcome(call(client, {"odd", "shared"})) == R"({"a":{},"b":{}})");
}

TEST_CASE("a payload that is not JSON is protocol_error and was not executed") {
  Daemon daemon({.modules = {kEcho}});
  ipc::Client client = daemon.connect();
  for (const std::string payload : {"{", "nonsense", "1 2", "'x'", "\xFF\xFE", "[1,]", "{\"a\":}", "\"\n\""}) {
    CAPTURE(payload);
    const auto error = error_of(call(client, {"echo", "echo", payload}));
    CHECK(ipc::to_string(error.code) == "protocol_error");
    CHECK(error.executed == Executed::no);
  }
  CHECK(code_of(call(client, {.module = "echo",
                              .function = "echo",
                              .payload = R"({"length":1})",
                              .arguments = ipc::ArgumentStyle::positional})) == "protocol_error");
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
}

TEST_CASE("a payload that is nested deeper than the stack allows is answered with a result or an error") {
  Daemon daemon({.modules = {kEcho}, .flags = {"--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  const std::size_t depth = 4'000'000;
  const auto answer = call(client, {"echo", "echo", std::string(depth, '[') + std::string(depth, ']')});
  CHECK(code_of(answer) != "worker_crashed");
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
}

// --- unavailable ---------------------------------------------------------------------------------------------------

TEST_CASE("calls on a connection that is lost are unavailable: maybe executed if they were sent, else not") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  daemon.signal(SIGKILL);
  const auto sent = error_of(calls.wait_for(0));
  CHECK(sent.code == ipc::ErrorCode::unavailable);
  CHECK(sent.executed == Executed::maybe);
  CHECK(sent.retryable);
  const auto later = error_of(call(client, {"holder", "held"}));
  CHECK(later.code == ipc::ErrorCode::unavailable);
  CHECK(later.executed == Executed::no);
}

}  // namespace
}  // namespace holdfast::test
