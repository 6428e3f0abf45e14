// MessageChannel, MessagePort and MessageEvent, as specified by the HTML Standard, in a worker's event loop.
#include <doctest/doctest.h>

#include "tests/javascript/both_profiles.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

const std::string kHelpers = std::string(kFailureHelpers) + R"js(
    // The data of the next `count` messages; starts the port.
    const messages = (port, count) => new Promise((resolve) => {
      const seen = [];
      port.onmessage = ({ data }) => { if (seen.push(data) === count) resolve(seen); };
    });
    const turn = () => new Promise((resolve) => setTimeout(resolve));
    const closing = (port) => new Promise((resolve) => { port.onclose = resolve; });
)js";

void evaluates(const std::string& code, const std::string& wanted) {
  CHECK(evaluated_in_both_profiles(code, kHelpers) == wanted);
}

// --- messages ------------------------------------------------------------------------------------------------------

TEST_CASE("each message is a task of its own, in order, after the microtasks of the one before") {
  evaluates(R"js(
      const { port1, port2 } = new MessageChannel(), log = [];
      const all = new Promise((resolve) => {
        port2.onmessage = ({ data }) => {
          log.push(`message ${data}`);
          queueMicrotask(() => log.push(`after ${data}`));
          if (data === 3) setTimeout(resolve);
        };
      });
      for (const data of [1, 2, 3]) port1.postMessage(data);
      queueMicrotask(() => log.push('microtask'));
      log.push('posted');
      await all;
      return log;
  )js",
            R"(["posted","microtask","message 1","after 1","message 2","after 2","message 3","after 3"])");
}

TEST_CASE("a message is a copy from the time of posting in a trusted event without further data") {
  evaluates(R"js(
      const { port1, port2 } = new MessageChannel(), value = { list: [1], map: new Map([['k', new Date(5)]]) };
      port1.postMessage(value);
      value.list.push(2);
      const event = await new Promise((resolve) => { port2.onmessage = resolve; });
      const { data } = event;
      return [event instanceof MessageEvent, event.type, event.isTrusted, event.bubbles, event.cancelable, event.target === port2, event.origin, event.lastEventId, event.source,
              event.ports.length, Object.isFrozen(event.ports), event.ports === event.ports, data !== value, data.list, data.map.get('k').getTime(), event.data === data];
  )js",
            R"([true,"message",true,false,false,true,"","",null,0,true,true,true,[1],5,true])");
}

TEST_CASE("a port's messages wait until it is started, which its onmessage does and a listener does not") {
  evaluates(R"js(
      const { port1, port2 } = new MessageChannel(), seen = [];
      port1.addEventListener('message', ({ data }) => seen.push(data));
      port2.postMessage(1);
      port2.postMessage(2);
      await turn();
      await turn();
      const before = [...seen];
      port1.start();
      port1.start();
      port2.postMessage(3);
      await turn();
      await turn();
      const object = {}, handler = () => {};
      port1.onmessage = object;
      const kept = port1.onmessage === object;
      port1.onmessage = handler;
      const changed = port1.onmessage === handler;
      port1.onmessage = 5;
      return [before, seen, kept, changed, port1.onmessage, port1.onmessageerror, port1.onclose];
  )js",
            "[[],[1,2,3],true,true,null,null,null]");
}

TEST_CASE("what cannot be posted throws, and leaves nothing behind") {
  evaluates(
      R"js(
      const { port1, port2 } = new MessageChannel(), buffer = new ArrayBuffer(8);
      const names = await namesOf([
        () => port1.postMessage(), () => port1.postMessage(() => {}), () => port1.postMessage(Symbol()), () => port1.postMessage(1, 5), () => port1.postMessage(1, [5]),
        () => port1.postMessage(1, { transfer: 5 }), () => port1.postMessage(1, [{}]), () => port1.postMessage(port2), () => port1.postMessage([buffer, () => {}], [buffer]),
        () => port1.postMessage(1, [buffer, buffer]), () => port1.postMessage(1, [port1]), () => port1.postMessage(1, { transfer: [port1] }),
        () => port1.postMessage({ get a() { throw new RangeError(); } }), () => new MessagePort(), () => MessageChannel(), () => MessagePort.prototype.start.call({}),
        () => port1.postMessage.call(Object.create(port1), 1), () => Object.getOwnPropertyDescriptor(MessageChannel.prototype, 'port1').get.call({}),
      ]);
      port1.postMessage('last', { transfer: new Set([buffer]) });
      return [names.join(), await messages(port2, 1), buffer.byteLength];
  )js",
      R"(["TypeError,DataCloneError,DataCloneError,TypeError,TypeError,TypeError,DataCloneError,DataCloneError,DataCloneError,DataCloneError,DataCloneError,DataCloneError,)"
      R"(RangeError,TypeError,TypeError,TypeError,TypeError,TypeError",["last"],0])");
}

TEST_CASE("buffers that a message transfers are the receiver's alone") {
  evaluates(R"js(
      const { port1, port2 } = new MessageChannel(), bytes = new Uint8Array([1, 2, 3]);
      port1.postMessage({ bytes }, [bytes.buffer]);
      const [data] = await messages(port2, 1);
      return [bytes.length, [...data.bytes]];
  )js",
            "[0,[1,2,3]]");
}

// --- ports ---------------------------------------------------------------------------------------------------------

TEST_CASE("a port that is transferred takes its messages along, and is started anew") {
  evaluates(
      R"js(
      const carrier = new MessageChannel(), channel = new MessageChannel();
      channel.port1.onmessage = () => { throw new Error('delivered to the port that was given away'); };
      channel.port2.postMessage('before');
      carrier.port1.postMessage({ port: channel.port1 }, [channel.port1]);
      channel.port2.postMessage('on its way');
      const event = await new Promise((resolve) => { carrier.port2.onmessage = resolve; });
      const { port } = event.data;
      channel.port2.postMessage('after');
      const seen = messages(port, 3), back = messages(channel.port2, 1);
      port.postMessage('answer');
      const again = structuredClone({ port }, { transfer: [port] }).port;
      channel.port2.postMessage('once more');
      return [event.ports.length, event.ports[0] === port, port instanceof MessagePort, port !== channel.port1, again !== port, await back, await messages(again, 4),
              await namesOf([() => carrier.port1.postMessage(1, [channel.port1]), () => structuredClone(port, { transfer: [port] }), () => structuredClone(again), () => channel.port1.postMessage(1), () => channel.port1.start()])];
  )js",
      R"([1,true,true,true,true,["answer"],["before","on its way","after","once more"],["DataCloneError","DataCloneError","DataCloneError","nothing,","nothing,"]])");
}

TEST_CASE("both ends of a channel can be on their way at once, and a port that is sent to itself is lost") {
  evaluates(R"js(
      const carrier = new MessageChannel(), channel = new MessageChannel(), doomed = new MessageChannel();
      carrier.port1.postMessage(null, [channel.port1, new ArrayBuffer(1), channel.port2]);
      const { ports } = await new Promise((resolve) => { carrier.port2.onmessage = resolve; });
      ports[0].postMessage('through');
      doomed.port1.postMessage('lost', [doomed.port2]);
      return [ports.length, await messages(ports[1], 1), await thrown(() => doomed.port2.postMessage(1, [doomed.port2]))];
  )js",
            R"([2,["through"],"DataCloneError: postMessage: a port cannot be transferred by itself"])");
}

TEST_CASE("a getter that gives a port away while it is being transferred cannot have it twice") {
  evaluates(R"js(
      const carrier = new MessageChannel(), channel = new MessageChannel();
      let stolen;
      const name = await nameOf(() => carrier.port1.postMessage({ get a() { stolen = structuredClone(channel.port1, { transfer: [channel.port1] }); return 1; } }, [channel.port1]));
      const closed = await nameOf(() => carrier.port1.postMessage({ get a() { channel.port2.close(); return 1; } }, [channel.port2]));
      channel.port2.postMessage('dropped');
      carrier.port1.postMessage('next');
      return [name, closed, stolen instanceof MessagePort, await messages(carrier.port2, 1)];
  )js",
            R"(["DataCloneError","DataCloneError",true,["next"]])");
}

TEST_CASE("a port that is closed sends and gets no more; what was on its way arrives, and then the other end is told") {
  evaluates(R"js(
      const { port1, port2 } = new MessageChannel(), log = [];
      port1.onmessage = ({ data }) => log.push(data);
      port1.onclose = ({ type, isTrusted }) => log.push(type, isTrusted);
      port2.onclose = () => log.push('told itself');
      port2.postMessage('sent before');
      port2.close();
      port2.close();
      port2.postMessage('sent by a closed port');
      port1.postMessage('sent to a closed port');
      log.push('closed');
      await turn();
      await turn();
      const name = await nameOf(() => structuredClone(port2, { transfer: [port2] }));
      const carrier = new MessageChannel(), channel = new MessageChannel();
      carrier.port1.postMessage(null, [channel.port1]);
      channel.port2.close();
      const { ports } = await new Promise((resolve) => { carrier.port2.onmessage = resolve; });
      await closing(ports[0]);
      return [log, name, 'told on arrival'];
  )js",
            R"([["closed","sent before","close",true],"DataCloneError","told on arrival"])");
}

TEST_CASE("unreachable channels are collected together with their listeners and messages") {
  evaluates(R"js(
      for (let i = 0; i < 5000; i++) {
        const { port1, port2 } = new MessageChannel(), ballast = new Array(5000).fill(i);
        port1.onmessage = port2.onmessage = () => ballast;
        port1.onclose = () => ballast;
        if (i % 3 === 0) port1.postMessage(ballast.slice(0, 10));
        const unread = new MessageChannel();
        unread.port1.postMessage(ballast.slice(0, 500));
        unread.port1.postMessage(null, [port1]);
        if (i % 100 === 0) await turn();
      }
      return 'collected';
  )js",
            "\"collected\"");
}

TEST_CASE("a port whose other end was collected is told that it is closed") {
  evaluates(R"js(
      let told = false;
      const port = (() => { const { port1, port2 } = new MessageChannel(); port2.postMessage('kept'); return port1; })();
      port.onclose = () => { told = true; };
      const [data] = await messages(port, 1);
      const held = [];
      for (let i = 0; !told && i < 10000; i++) {
        held[i % 10] = new Array(200000).fill(i);
        await turn();
      }
      return [data, told];
  )js",
            R"(["kept",true])");
}

TEST_CASE("a port with a listener stays alive if only the other end is referenced") {
  evaluates(R"js(
      let count = 0;
      const port = (() => { const { port1, port2 } = new MessageChannel(); port2.onmessage = () => { count++; }; return port1; })();
      const held = [];
      for (let i = 0; i < 200; i++) {
        held[i % 10] = new Array(200000).fill(i);
        port.postMessage(i);
        await turn();
      }
      await turn();
      return count;
  )js",
            "200");
}

// --- events --------------------------------------------------------------------------------------------------------

TEST_CASE("a MessageEvent can be constructed and checks the kinds of its members") {
  evaluates(
      R"js(
      const { port1, port2 } = new MessageChannel(), ports = [port1, port2];
      const event = new MessageEvent('m', { data: 7, origin: 'a\ud800', lastEventId: 'id', source: port1, ports, cancelable: true }), bare = new MessageEvent('bare');
      const show = (e) => [e.type, e.data, e.origin === 'a\ufffd' ? 'well-formed' : e.origin, e.lastEventId, e.source === port1, e.ports.length, e.cancelable, e.isTrusted];
      const shown = show(event);
      const frozen = Object.isFrozen(event.ports) && event.ports !== ports;
      event.initMessageEvent('again', true, false, 'data', 'o', 'l', null, [port2]);
      const plain = new MessageEvent('p', { data: undefined });
      plain.initMessageEvent('plain');
      return [shown, frozen, show(event), show(bare), show(plain), MessageEvent.length, MessageEvent.prototype.initMessageEvent.length,
              (await namesOf([() => new MessageEvent(), () => new MessageEvent('m', { source: {} }), () => new MessageEvent('m', { ports: [{}] }), () => new MessageEvent('m', { ports: 1 }), () => new MessageEvent('m', { ports: null }), () => event.initMessageEvent(), () => MessageEvent.prototype.data])).join()];
  )js",
      R"([["m",7,"well-formed","id",true,2,true,false],true,["again","data","o","l",false,1,false,false],["bare",null,"","",false,0,false,false],["plain",null,"","",false,0,false,false],1,1,)"
      R"("TypeError,TypeError,TypeError,TypeError,TypeError,TypeError,TypeError"])");
}

TEST_CASE("a module that replaces functions that channels use does not change the channels") {
  evaluates(R"js(
      const { port1, port2 } = new MessageChannel(), carried = new MessageChannel().port1;
      const reached = () => { throw new Error('reached'); };
      for (const key of ['next', 'end', 'run', 'first', 'last', 'transfer', 'handleEvent', 'value']) Object.defineProperty(Object.prototype, key, { __proto__: null, get: reached, set: reached, configurable: true });
      for (const key of ['0', '1']) Object.defineProperty(Array.prototype, key, { __proto__: null, get: reached, set: reached, configurable: true });
      WeakRef.prototype.deref = FinalizationRegistry.prototype.register = Array.prototype.includes = Object.freeze = reached;
      globalThis.MessageEvent = globalThis.MessagePort = globalThis.WeakRef = reached;
      EventTarget.prototype.dispatchEvent = EventTarget.prototype.addEventListener = reached;
      const event = new Promise((resolve) => { port2.onmessage = resolve; });
      port1.postMessage('through', [carried]);
      const { data, ports } = await event;
      for (const key of ['next', 'end', 'run', 'first', 'last', 'transfer', 'handleEvent', 'value']) delete Object.prototype[key];
      for (const key of ['0', '1']) delete Array.prototype[key];
      return [data, ports.length];
  )js",
            R"(["through",1])");
}

// --- the worker's loop ---------------------------------------------------------------------------------------------

const Module kLoops{"loops", R"js(
    let rounds = 0;
    // Two ports that answer each other for ever.
    exports.pingPong = () => {
      const { port1, port2 } = new MessageChannel();
      for (const port of [port1, port2]) port.onmessage = () => { rounds++; port.postMessage(null); };
      port1.postMessage(null);
      return new Promise(() => {});
    };
    // So many messages that a round of them takes long; each is followed by another one.
    exports.crowd = () => {
      const { port1, port2 } = new MessageChannel();
      port2.onmessage = () => { rounds++; port1.postMessage(null); };
      for (let i = 0; i < 5000; i++) port1.postMessage(null);
      return new Promise(() => {});
    };
    exports.rounds = () => rounds;
    exports.watch = (payload, { signal }) => new Promise((resolve) => { signal.onabort = () => resolve(); });
    exports.spin = () => {
      const { port1, port2 } = new MessageChannel();
      port2.onmessage = function spinning() { while (true) {} };
      port1.postMessage(null);
      return new Promise(() => {});
    };
    exports.failing = () => {
      const { port1, port2 } = new MessageChannel();
      port2.onmessage = async () => { throw new RangeError('in a message'); };
      port1.postMessage(null);
      return new Promise(() => {});
    };
    const shared = new MessageChannel();
    let posted = false;
    exports.post = () => { shared.port1.postMessage(null); posted = true; return new Promise(() => {}); };
    exports.posted = () => posted;
    // Starts the port on which another call posted messages; is answered after they were delivered.
    exports.open = () => {
      shared.port2.onmessage = async () => { throw new RangeError('in a message'); };
      return new Promise((resolve) => { shared.port1.onmessage = () => resolve('opened'); shared.port2.postMessage(null); });
    };
    exports.answered = () => {
      const { port1, port2 } = new MessageChannel();
      return new Promise((resolve) => {
        port2.onmessage = ({ data }) => { if (data === 5) resolve(data); else port1.postMessage(data + 1); };
        port1.postMessage(0);
      });
    };
)js"};

TEST_CASE("ports that answer each other for ever keep no other call waiting, and end with their own") {
  for (const std::string profile : {"jit", "strict"}) {
    for (const std::string endless : {"pingPong", "crowd"}) {
      CAPTURE(profile);
      CAPTURE(endless);
      Daemon daemon({.modules = {kLoops}, .flags = {"--profile", profile, "--stretch", "20s"}});
      ipc::Client client = daemon.connect();
      Calls calls(client);
      calls.start({"loops", endless});
      CHECK(eventually([&] { return outcome(call(client, {"loops", "rounds"})) != "0"; }));
      CHECK(outcome(call(client, {"loops", "answered"})) == "5");
      calls.start({"loops", "watch"});
      CHECK(outcome(call(client, {"loops", "answered"})) == "5");
      calls.cancel(1);
      CHECK(code_of(calls.wait_for(1)) == "cancelled");
      calls.cancel(0);
      CHECK(code_of(calls.wait_for(0)) == "cancelled");
      calls.start({.module = "loops", .function = endless, .timeout = milliseconds(100)});
      CHECK(code_of(calls.wait_for(2)) == "deadline_exceeded");
    }
  }
}

TEST_CASE("a message's listener has the limit of a stretch, and its failures are those of the call that posted it") {
  Daemon daemon({.modules = {kLoops}, .flags = {"--stretch", "100ms"}});
  ipc::Client client = daemon.connect();
  const ipc::Error spun = error_of(call(client, {"loops", "spin"}));
  CHECK(spun.code == ipc::ErrorCode::cpu_exceeded);
  CHECK_MESSAGE(contains(spun.stack, "spinning"), spun.stack);
  CHECK(outcome(call(client, {"loops", "failing"})) ==
        "exception: unhandled promise rejection: RangeError: in a message");
  Calls calls(client);
  calls.start({"loops", "post"});
  REQUIRE(eventually([&] { return outcome(call(client, {"loops", "posted"})) == "true"; }));
  CHECK(outcome(call(client, {"loops", "open"})) == "\"opened\"");
  CHECK(outcome(calls.wait_for(0)) == "exception: unhandled promise rejection: RangeError: in a message");
}

TEST_CASE("a top-level await may wait for a message, and one that waits for none never settles") {
  for (const std::string profile : {"jit", "strict"}) {
    CAPTURE(profile);
    Daemon daemon({.modules = {{"waits", R"js(
        const { port1, port2 } = new MessageChannel();
        port1.postMessage('loaded');
        const { data } = await new Promise((resolve) => { port2.onmessage = resolve; });
        export const f = () => data;
    )js"},
                               {"forever", R"js(
        const { port1, port2 } = new MessageChannel();
        await new Promise((resolve) => { port2.onmessage = resolve; });
        export const f = () => 1;
    )js"}},
                   .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {"waits", "f"})) == "\"loaded\"");
    const ipc::Error error = error_of(call(client, {"forever", "f"}));
    CHECK(error.code == ipc::ErrorCode::load_failed);
    CHECK(contains(error.message, "the module's top-level await never settles"));
  }
}

}  // namespace
}  // namespace holdfast::test
