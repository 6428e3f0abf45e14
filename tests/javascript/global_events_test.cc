// The global object as an EventTarget: uncaught failures fire events there, and a listener may handle them.
#include <doctest/doctest.h>

#include "tests/javascript/both_profiles.h"

namespace holdfast::test {
namespace {

TEST_CASE("the global object is an EventTarget, whose methods need no object") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const seen = [];
      const listen = addEventListener, remove = EventTarget.prototype.removeEventListener;
      const listener = function (event) {
        seen.push([this === globalThis, event.target === globalThis, event.currentTarget === globalThis, event.isTrusted]);
        event.preventDefault();
      };
      listen('x', listener);
      listen.call(null, 'x', listener);
      seen.push(dispatchEvent(new Event('x', { cancelable: true })), self.dispatchEvent.call(undefined, new Event('x')));
      remove('x', listener);
      seen.push(globalThis.dispatchEvent(new Event('x', { cancelable: true })));
      let error;
      try { listen.call(Object.create(globalThis), 'x', listener); } catch ({ name }) { error = name; }
      return [seen, globalThis instanceof EventTarget, String(globalThis), error, Object.hasOwn(globalThis, 'addEventListener')];
  )js") ==
      R"([[[true,true,true,false],[true,true,true,false],false,true,true],true,"[object GlobalScope]","TypeError",false])");
}

TEST_CASE("members of the global object work without an object, on it, and on nothing else") {
  CHECK(evaluated_in_both_profiles(R"js(
      const { getOwnPropertyDescriptor } = Object, wrong = [];
      const other = Object.create(globalThis);
      for (const name of ['self', 'navigator', 'performance', 'crypto', 'onerror', 'onunhandledrejection', 'onrejectionhandled']) {
        const { get, set, enumerable, configurable } = getOwnPropertyDescriptor(globalThis, name);
        if (!enumerable || !configurable || get.name !== `get ${name}`) wrong.push([name, 'descriptor']);
        if ((set === undefined) !== ['navigator', 'crypto'].includes(name)) wrong.push([name, 'setter']);
        if (set !== undefined && set.name !== `set ${name}`) wrong.push([name, 'setter\'s name']);
        if (get.call(undefined) !== globalThis[name] || get.call(null) !== globalThis[name]) wrong.push([name, 'of nothing']);
        if (await nameOf(() => other[name]) !== 'TypeError') wrong.push([name, 'of something else']);
        if (set !== undefined && await nameOf(() => set.call(other, 1)) !== 'TypeError') wrong.push([name, 'set on something else']);
      }
      for (const name of ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval', 'queueMicrotask', 'structuredClone', 'atob',
        'btoa', 'reportError']) {
        if (await nameOf(() => other[name](() => {})) !== 'TypeError') wrong.push([name, 'of something else']);
        if (await nameOf(() => globalThis[name].call(null)) === 'TypeError: Illegal invocation') wrong.push([name, 'of nothing']);
      }
      // [Replaceable], and read-only.
      self = 1;
      globalThis.performance = 2;
      const kept = await nameOf(() => { 'use strict'; globalThis.crypto = 3; });
      return [wrong, self, performance, kept, typeof crypto, Object.keys(globalThis).includes('self')];
  )js") == R"([[],1,2,"TypeError","object",true])");
}

TEST_CASE(
    "a timer's callback is called on the global object, a delay is Web IDL's long, and equal delays keep their order") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      'use strict';
      const seen = [], done = [];
      const wait = (...delay) => done.push(new Promise((resolve) => {
        setTimeout(function (text) { seen.push([this === globalThis, text]); resolve(); }, ...delay);
      }));
      wait(2 ** 32, 'wraps'); wait(-1, 'negative'); wait('0', 'text'); wait(NaN, 'no number'); wait();
      await Promise.all(done);
      const order = [];
      await Promise.all(Array.from({ length: 50 }, (_, i) => new Promise((resolve) => {
        setTimeout(() => { order.push(i); resolve(); }, 5);
      })));
      return [seen, order.every((each, i) => each === i), await nameOf(() => setTimeout(() => {}, 1n)),
              await nameOf(() => setTimeout(() => {}, Symbol()))];
  )js") ==
      R"([[[true,"wraps"],[true,"negative"],[true,"text"],[true,"no number"],[true,null]],true,"TypeError","TypeError"])");
}

constexpr const char* kListening = R"js(
    const seen = [];
    addEventListener('error', (event) => {
      const { message, filename, lineno, colno, error, cancelable, isTrusted } = event;
      seen.push([event instanceof ErrorEvent, message, filename, lineno, colno > 0, error?.message ?? error, cancelable, isTrusted]);
      event.preventDefault();
    });
    addEventListener('unhandledrejection', async (event) => {
      const { reason, promise, cancelable, isTrusted } = event;
      seen.push([event instanceof PromiseRejectionEvent, reason.message, promise instanceof Promise, cancelable, isTrusted]);
      event.preventDefault();
      await null;
      seen.push('after an await');
    });
    const turn = () => new Promise((resolve) => setTimeout(resolve));
    exports.timer = async () => { setTimeout(() => { throw new Error('timer'); }); await turn(); await turn(); return seen.splice(0); };
    exports.nothing = async () => { setTimeout(() => { throw undefined; }); await turn(); await turn(); return seen.splice(0); };
    exports.microtask = async () => { queueMicrotask(() => { throw new Error('microtask'); }); await turn(); return seen.splice(0); };
    exports.rejection = async () => { Promise.reject(new Error('rejection')); await turn(); return seen.splice(0); };
    exports.listener = () => {
      const target = new EventTarget();
      target.addEventListener('x', () => { throw new Error('listener'); });
      target.dispatchEvent(new Event('x'));
      return seen.splice(0);
    };
    exports.reported = () => { reportError(new Error('reported')); reportError(7); return seen.splice(0); };
)js";

TEST_CASE("uncaught failures fire events at the global object and a handled one fails no call and is not logged") {
  for (const char* profile : kProfiles) {
    Daemon daemon({.modules = {{"m", kListening}}, .flags = {"--profile", profile, "--results", "lenient"}});
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {"m", "timer"})) ==
          R"([[true,"Uncaught Error: timer","m-v1.js",16,true,"timer",true,true]])");
    CHECK(outcome(call(client, {"m", "nothing"})) ==
          R"([[true,"Uncaught undefined","m-v1.js",17,true,null,true,true]])");
    CHECK(outcome(call(client, {"m", "microtask"})) ==
          R"([[true,"Uncaught Error: microtask","m-v1.js",18,true,"microtask",true,true]])");
    CHECK(outcome(call(client, {"m", "rejection"})) == R"([[true,"rejection",true,true,true],"after an await"])");
    CHECK(outcome(call(client, {"m", "listener"})) ==
          R"([[true,"Uncaught Error: listener","m-v1.js",22,true,"listener",true,true]])");
    CHECK(outcome(call(client, {"m", "reported"})) ==
          R"([[true,"Uncaught Error: reported","m-v1.js",26,true,"reported",true,true],)"
          R"([true,"Uncaught 7","m-v1.js",26,true,7,true,true]])");
    daemon.stop();
    CHECK_FALSE(contains(daemon.log(), "uncaught"));
    CHECK_FALSE(contains(daemon.log(), "unhandled"));
  }
}

TEST_CASE("a listener that does not call preventDefault() does not change a failure") {
  Daemon daemon({.modules = {{"m", R"js(
      const never = () => new Promise(() => {});
      addEventListener('error', () => console.log('heard an error'));
      onunhandledrejection = (event) => { console.log('heard a rejection'); event.promise.catch(() => {}); };
      exports.timer = () => { setTimeout(() => { throw new Error('in a timer'); }); return never(); };
      exports.rejection = () => { Promise.reject(new Error('unheard')); return never(); };
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"m", "timer"})) == "exception: uncaught in a timer: Error: in a timer");
  CHECK(outcome(call(client, {"m", "rejection"})) == "exception: unhandled promise rejection: Error: unheard");
  CHECK(daemon.logged("heard an error"));
  CHECK(daemon.logged("uncaught in a timer: Error: in a timer"));
  CHECK(daemon.logged("heard a rejection"));
  CHECK(daemon.logged("unhandled promise rejection: Error: unheard"));
}

TEST_CASE(
    "event handlers of the global object get the arguments of the HTML Standard and cancel by their return value") {
  Daemon daemon({.modules = {{"m", R"js(
      exports.f = async () => {
        const seen = [];
        const turn = () => new Promise((resolve) => setTimeout(resolve));
        onerror = 1;
        seen.push(onerror);
        globalThis.onerror = function (message, file, line, column, error) {
          seen.push([message, file, line, column > 0, error.message, arguments.length, this === globalThis]);
          return true;
        };
        reportError(new Error('e'));
        seen.push(dispatchEvent(new ErrorEvent('error', { message: 'm', cancelable: true, error: { message: 'own' } })));
        onerror = (event) => { seen.push(event.type); return false; };
        seen.push(dispatchEvent(new Event('error', { cancelable: true })));
        onerror = null;
        seen.push(dispatchEvent(new ErrorEvent('error', { cancelable: true })), onerror);

        let promise;
        onunhandledrejection = (event) => { ({ promise } = event); return false; };
        onrejectionhandled = (event) => { seen.push([event.type, event.reason, event.promise === promise, event.cancelable]); };
        Promise.reject('r');
        await turn();
        promise.catch(() => {});
        await turn();
        return seen;
      };
  )js"}},
                 .flags = {"--results", "lenient"}});
  ipc::Client client = daemon.connect();
  CHECK(
      outcome(call(client, {"m", "f"})) ==
      R"([null,["Uncaught Error: e","m-v1.js",11,true,"e",5,true],["m","",0,false,"own",5,true],false,"error",false,true,)"
      R"(null,["rejectionhandled","r",true,false]])");
  daemon.stop();
  CHECK_FALSE(contains(daemon.log(), "uncaught"));
  CHECK_FALSE(contains(daemon.log(), "unhandled"));
}

TEST_CASE("failures of failure listeners are logged and leave time to the calls of the module") {
  Daemon daemon({.modules = {{"m", R"js(
      let rejections = 0;
      addEventListener('error', (event) => { throw new Error('thrown by the listener'); });
      addEventListener('unhandledrejection', (event) => { rejections++; event.preventDefault(); Promise.reject(new Error('again')); });
      exports.error = () => { reportError(new Error('reported')); return 'went on'; };
      exports.reject = () => { Promise.reject(new Error('first')); return 'answered'; };
      exports.count = () => rejections;
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"m", "error"})) == R"("went on")");
  CHECK(daemon.logged("uncaught in an event listener: Error: thrown by the listener"));
  CHECK(daemon.logged("reported as uncaught: Error: reported"));
  CHECK(outcome(call(client, {"m", "reject"})) == R"("answered")");
  // This never ends, as each rejection causes another one.
  int rejections = 0;
  for (int asked = 0; asked < 100'000 && rejections < 100; ++asked) {
    rejections = std::stoi(outcome(call(client, {"m", "count"})));
  }
  CHECK(rejections >= 100);
}

TEST_CASE("what listeners for failures reject is reported though no call comes any more") {
  Daemon daemon({.modules = {{"m", R"js(
      let heard = 0;
      addEventListener('unhandledrejection', (event) => {
        event.preventDefault();
        console.log(`heard ${++heard}`);
        if (heard < 5) Promise.reject(heard);
      });
      exports.f = () => { Promise.reject(0); };
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"m", "f"})) == "null");
  CHECK(daemon.logged("heard 5"));
}

TEST_CASE("a listener handles a rejection at a top level that awaits") {
  Daemon daemon({.modules = {{"m", R"js(
      let heard;
      addEventListener('unhandledrejection', (event) => { heard = event.reason; event.preventDefault(); });
      Promise.reject('early');
      await new Promise((resolve) => setTimeout(resolve, 1));
      export const f = () => heard;
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"m", "f"})) == R"("early")");
}

TEST_CASE("reportError runs no getter of what it is given") {
  Daemon daemon({.modules = {{"m", R"js(
      let read = 0;
      exports.f = () => {
        reportError({ get message() { read++; }, get name() { read++; }, code: 7, toJSON() { read++; } });
        return read;
      };
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"m", "f"})) == "0");
  CHECK(daemon.logged("code: 7"));
}

}  // namespace
}  // namespace holdfast::test
