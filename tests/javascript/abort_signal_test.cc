// AbortController, AbortSignal, EventTarget, Event and DOMException, as specified by the DOM Standard and Web IDL.
#include <doctest/doctest.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

// Runs `code`, the body of an async function, and returns its result as JSON.
std::string evaluated_of_signals(const std::string& code) {
  Daemon daemon({.modules = {{"module", R"js(
      const thrown = (use) => { try { use(); return 'nothing'; } catch (error) { return `${error.name}: ${error.message}`; } };
      const nameOf = (use) => thrown(use).split(':')[0];
      exports.f = async (payload, context) => {)js" +
                                            code + "};"}}});
  ipc::Client client = daemon.connect();
  return outcome(call(client, {"module", "f"}));
}

// --- as specified by Web IDL ----------------------------------------------------------------------------------------

TEST_CASE("the interfaces are globals with enumerable members and the specified tags and constants") {
  CHECK(evaluated_of_signals(R"js(
      const wrong = [];
      const check = (holds, what) => { if (!holds) wrong.push(what); };
      for (const type of [Event, EventTarget, AbortSignal, AbortController, DOMException]) {
        const { name, prototype } = type;
        const global = Object.getOwnPropertyDescriptor(globalThis, name);
        check(global.writable && global.configurable && !global.enumerable, name);
        check(prototype.constructor === type, `${name}.prototype.constructor`);
        check(!Object.getOwnPropertyDescriptor(prototype, 'constructor').enumerable, `${name} constructor enumerable`);
        const tag = Object.getOwnPropertyDescriptor(prototype, Symbol.toStringTag);
        check(tag.value === name && !tag.writable && !tag.enumerable && tag.configurable, `${name} tag`);
        for (const holder of [type, prototype]) {
          for (const key of Object.getOwnPropertyNames(holder)) {
            if (key === 'constructor' || key === 'prototype' || (holder === type && (key === 'name' || key === 'length'))) continue;
            const { enumerable, configurable, writable, value, get } = Object.getOwnPropertyDescriptor(holder, key);
            const isConstant = /^[A-Z_]+$/.test(key);
            check(enumerable, `${name} ${key} enumerable`);
            check(configurable === !isConstant, `${name} ${key} configurable`);
            if (isConstant) check(!writable && typeof value === 'number' && type[key] === prototype[key], `${name} ${key}`);
            else if (get) check(get.name === `get ${key}` && nameOf(() => get.call({})) === 'TypeError', `${name} get ${key}`);
            else check(writable && value.name === key, `${name} ${key} method`);
            if (!isConstant && get === undefined && holder === prototype) {
              check(nameOf(() => value.call({}, 'x', () => {})) === 'TypeError', `${name} ${key} brand`);
            }
          }
        }
        check(nameOf(() => type()) === 'TypeError', `${name} without new`);
      }
      return [wrong, Event.length, EventTarget.length, AbortSignal.length, DOMException.length,
              EventTarget.prototype.addEventListener.length, AbortSignal.timeout.length, AbortSignal.abort.length,
              Object.getPrototypeOf(AbortSignal) === EventTarget, Object.getPrototypeOf(DOMException.prototype) === Error.prototype,
              Event.AT_TARGET, DOMException.DATA_CLONE_ERR, thrown(() => new AbortSignal()), String(new AbortController().signal)];
  )js") == R"([[],1,0,0,0,2,1,0,true,true,2,25,"TypeError: Illegal constructor","[object AbortSignal]"])");
}

TEST_CASE("an argument of the wrong kind is a TypeError") {
  CHECK(evaluated_of_signals(R"js(
      const target = new EventTarget(), { signal } = new AbortController();
      return [
        () => new Event(), () => new Event(Symbol()), () => new Event('x', 1), () => target.addEventListener('x'),
        () => target.addEventListener('x', 1), () => target.addEventListener('x', () => {}, { signal: {} }),
        () => target.addEventListener('x', () => {}, { signal: null }), () => target.dispatchEvent({}), () => target.dispatchEvent(),
        () => AbortSignal.timeout(), () => AbortSignal.timeout(-1), () => AbortSignal.timeout(NaN), () => AbortSignal.timeout(2 ** 53),
        () => AbortSignal.any(), () => AbortSignal.any(1), () => AbortSignal.any({}), () => AbortSignal.any([signal, {}]),
        () => EventTarget.prototype.dispatchEvent.call(1, new Event('x')),
        () => Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted').get.call(Object.create(signal)),
      ].map(nameOf).filter((name) => name !== 'TypeError');
  )js") == "[]");
}

TEST_CASE("a DOMException is an error with a name, a message, a code and a stack") {
  CHECK(evaluated_of_signals(R"js(
      const error = new DOMException('gone', 'NotFoundError'), bare = new DOMException();
      return [error.name, error.message, error.code, error instanceof Error, String(error), error.stack.split('\n')[0],
              error.stack.includes('module-v1.js'), bare.name, bare.message, bare.code, new DOMException('', 'Own').code,
              new DOMException('', 'toString').code, DOMException.ABORT_ERR, Object.keys(error)];
  )js") ==
        R"(["NotFoundError","gone",8,true,"NotFoundError: gone","NotFoundError: gone",true,"Error","",0,0,0,20,[]])");
}

TEST_CASE("a DOMException that a function throws is its answer, with name, message and stack") {
  Daemon daemon(
      {.modules = {{"module", "exports.f = (payload, { signal }) => { AbortSignal.abort().throwIfAborted(); };"}}});
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"module", "f"}));
  CHECK(error.message == "AbortError: signal is aborted without reason");
  CHECK(contains(error.stack, "module-v1.js:1:"));
  CHECK_FALSE(contains(error.stack, "holdfast:"));
}

// --- events --------------------------------------------------------------------------------------------------------

TEST_CASE("listeners are called in order and as often as specified and with the right event") {
  CHECK(evaluated_of_signals(R"js(
      const target = new EventTarget(), seen = [];
      const add = (text) => { const f = () => seen.push(text); return f; };
      const twice = add('twice');
      target.addEventListener('x', twice);
      target.addEventListener('x', twice);
      target.addEventListener('x', twice, true);
      target.addEventListener('x', add('once'), { once: true });
      target.addEventListener('x', null);
      target.addEventListener('x', { handleEvent(event) { seen.push(['object', this.own, event.type, event.eventPhase]); }, own: 1 });
      target.addEventListener('y', add('other'));
      const removed = add('removed');
      target.addEventListener('x', () => {
        target.removeEventListener('x', removed);
        target.addEventListener('x', add('added'), { once: true });
      }, { once: true });
      target.addEventListener('x', removed);
      target.addEventListener('x', function (event) {
        seen.push([this === target, event.target === target, event.currentTarget === target, event.composedPath().length,
                   event.isTrusted, event.timeStamp >= 0]);
      });
      const event = new Event('x');
      target.dispatchEvent(event);
      seen.push([event.currentTarget, event.eventPhase, event.composedPath().length, event.target === target]);
      target.dispatchEvent(new Event('x'));
      return seen;
  )js") == R"(["twice","twice","once",["object",1,"x",2],[true,true,true,1,false,true],[null,0,0,true],)"
           R"("twice","twice",["object",1,"x",2],[true,true,true,1,false,true],"added"])");
}

TEST_CASE("an event can be stopped and cancelled and cannot be dispatched twice at a time") {
  CHECK(evaluated_of_signals(R"js(
      const seen = [];
      const run = (init, ...listeners) => {
        const target = new EventTarget();
        for (const listener of listeners) target.addEventListener('x', ...[listener].flat());
        return target.dispatchEvent(new Event('x', init));
      };
      seen.push(run({ cancelable: true }, (event) => event.preventDefault(), (event) => seen.push(event.defaultPrevented)));
      seen.push(run({}, (event) => event.preventDefault()));
      seen.push(run({ cancelable: true }, [(event) => event.preventDefault(), { passive: true }]));
      seen.push(run({ cancelable: true }, (event) => { event.returnValue = false; }));
      run({}, (event) => event.stopImmediatePropagation(), () => seen.push('unseen'));
      run({}, (event) => event.stopPropagation(), () => seen.push('same target'));
      run({}, [(event) => { event.cancelBubble = true; }, true], () => seen.push('unseen'));
      run({}, (event) => seen.push(nameOf(() => event.target.dispatchEvent(event))));
      const { get, configurable } = Object.getOwnPropertyDescriptor(new Event('x'), 'isTrusted');
      return [...seen, typeof get, configurable];
  )js") == R"([true,false,true,true,false,"same target","InvalidStateError","function",false])");
}

TEST_CASE("an aborted signal removes its listeners and accepts no further ones") {
  CHECK(evaluated_of_signals(R"js(
      const target = new EventTarget(), controller = new AbortController(), seen = [];
      const { signal } = controller;
      target.addEventListener('x', () => seen.push(1), { signal });
      target.addEventListener('x', () => seen.push(2));
      target.dispatchEvent(new Event('x'));
      controller.abort();
      target.addEventListener('x', () => seen.push(3), { signal });
      target.dispatchEvent(new Event('x'));
      return seen;
  )js") == "[1,2,2]");
}

// --- signals -------------------------------------------------------------------------------------------------------

TEST_CASE("a controller aborts its signal once, with its reason or an AbortError") {
  CHECK(
      evaluated_of_signals(R"js(
      const controller = new AbortController(), { signal } = controller, seen = [];
      signal.onabort = function (event) { seen.push([this === signal, event.type, event.isTrusted, event.target === signal]); };
      signal.addEventListener('abort', () => seen.push(signal.aborted));
      const before = [signal.aborted, signal.reason === undefined, thrown(() => signal.throwIfAborted())];
      controller.abort('first'); controller.abort('second');
      const plain = new AbortController();
      plain.abort();
      return [before, seen, signal.reason, signal === controller.signal, plain.signal.reason.name, plain.signal.reason.code,
              nameOf(() => plain.signal.throwIfAborted()), AbortSignal.abort(null).reason, AbortSignal.abort(null).aborted,
              AbortSignal.abort().reason.name];
  )js") ==
      R"([[false,true,"nothing"],[[true,"abort",true,true],true],"first",true,"AbortError",20,"AbortError",null,true,"AbortError"])");
}

TEST_CASE("onabort keeps its place among the listeners and is not called if it is not a function") {
  CHECK(evaluated_of_signals(R"js(
      const controller = new AbortController(), { signal } = controller, seen = [];
      signal.onabort = 1;
      seen.push(signal.onabort);
      signal.onabort = () => seen.push('never');
      signal.onabort = null;
      signal.onabort = () => seen.push('never');
      signal.addEventListener('abort', () => seen.push('listener'));
      signal.onabort = () => seen.push('handler');
      const other = new AbortController();
      other.signal.onabort = {};
      other.abort();
      controller.abort();
      return seen;
  )js") == R"([null,"handler","listener"])");
}

TEST_CASE("AbortSignal.timeout is aborted with a TimeoutError, when its time has come") {
  CHECK(evaluated_of_signals(R"js(
      const begin = Date.now(), signal = AbortSignal.timeout(20), soon = AbortSignal.timeout(0);
      const before = [signal.aborted, soon.aborted];
      await new Promise((resolve) => { signal.onabort = resolve; });
      const long = AbortSignal.timeout(Number.MAX_SAFE_INTEGER);
      await new Promise((resolve) => setTimeout(resolve, 5));
      return [before, signal.reason.name, signal.reason.code, Date.now() - begin >= 20, soon.reason.name, long.aborted];
  )js") == R"([[false,false],"TimeoutError",23,true,"TimeoutError",false])");
}

TEST_CASE(
    "AbortSignal.any is aborted with the first of its signals and all dependent signals before any listener runs") {
  CHECK(evaluated_of_signals(R"js(
      const a = new AbortController(), b = new AbortController(), seen = [];
      const any = AbortSignal.any([a.signal, b.signal, a.signal]), further = AbortSignal.any(new Set([any]));
      a.signal.onabort = () => seen.push('a', any.aborted, further.aborted);
      any.onabort = () => seen.push('any');
      further.onabort = () => seen.push('further');
      const before = [any.aborted, further.aborted, AbortSignal.any([]).aborted];
      a.abort('why'); b.abort('late');
      const nothing = AbortSignal.any([AbortSignal.abort(null), AbortSignal.abort('second')]);
      return [before, seen, any.reason, further.reason, AbortSignal.any([b.signal, a.signal]).reason, nothing.reason, nothing.aborted];
  )js") == R"([[false,false,false],["a",true,true,"any","further"],"why","why","late",null,true])");
}

TEST_CASE("a signal that only a listener refers to lives as long as what may abort it") {
  CHECK(evaluated_of_signals(R"js(
      const controller = new AbortController();
      const heard = [];
      (() => {
        AbortSignal.any([controller.signal]).addEventListener('abort', () => heard.push('any'));
        AbortSignal.timeout(30).addEventListener('abort', () => heard.push('timeout'));
      })();
      // Far more than the young generation holds.
      for (let i = 0; i < 200; i++) {
        for (let j = 0; j < 200; j++) new Array(100).fill(j);
        if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await new Promise((resolve) => setTimeout(resolve, 40));
      controller.abort();
      return heard;
  )js") == R"(["timeout","any"])");
}

}  // namespace
}  // namespace holdfast::test
