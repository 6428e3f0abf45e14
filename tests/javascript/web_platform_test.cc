// URLs, streams, events and the smaller parts of the web platform, as specified by their standards; also in modules
// that replace their globals.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "tests/javascript/both_profiles.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

// --- URL -----------------------------------------------------------------------------------------------------------

TEST_CASE("URLs are parsed and written as the URL Standard says") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const url = new URL('//user:p%40ss@EXAMPLE.com:8080/a/./b/../c%7e d?q=\u00e4#f', 'https://base/x');
      const parts = ['href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'hash'].map((part) => url[part]);
      const hrefs = [['http://0x7f.1/'], ['http://[::1.2.3.4]'], ['https://fa\u00df.ExAmPlE/'], ['https://xn--fa-hia.example/'], ['file:///C|/x'], ['HTTP://x:80/'],
        ['mailto:a@b'], ['?x', 'http://a/b/c?d#e'], ['..', 'http://a/b/c/d'], ['\tht\ntp://a\\b\n'], ['javascript:alert( 1)'], ['http://a/\ud800'],
        ['http://\u2603.net'], ['http://www.foo\u3002bar.com'], ['http://%65xample.org']].map((given) => new URL(...given).href);
      const bad = ['', 'x', '//:80', 'http://', 'http://a b/', 'http://x:65536', 'http://[::', 'http://256.1.1.1.', 'http://a%00b', 'https://xn--/', 'https://\u00ad/']
        .map((given) => URL.canParse(given) || URL.parse(given) !== null);
      return [parts, hrefs, bad, await thrown(() => new URL('x')), String(url) === url.toJSON(), JSON.stringify({ u: new URL('a:b') })];
  )js") ==
      R"js([["https://user:p%40ss@example.com:8080/a/c%7e%20d?q=%C3%A4#f","https://example.com:8080","https:","user","p%40ss",)js"
      R"js("example.com:8080","example.com","8080","/a/c%7e%20d","?q=%C3%A4","#f"],)js"
      R"js(["http://127.0.0.1/","http://[::102:304]/","https://xn--fa-hia.example/","https://xn--fa-hia.example/","file:///C:/x","http://x/",)js"
      R"js("mailto:a@b","http://a/b/c?x","http://a/b/","http://a/b","javascript:alert( 1)","http://a/%EF%BF%BD",)js"
      R"js("http://xn--n3h.net/","http://www.foo.bar.com/","http://example.org/"],)js"
      R"js([false,false,false,false,false,false,false,false,false,false,false],"TypeError: Invalid URL: x",true,"{\"u\":\"a:b\"}"])js");
}

TEST_CASE("the parts of a URL can be set, and its search parameters are the same as its query") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const url = new URL('http://a/b?c=d');
      url.protocol = 'https'; url.host = 'x.y:99'; url.pathname = '/p q'; url.hash = 'h'; url.port = 'none'; url.username = 'u:';
      const { searchParams } = url;
      searchParams.append('e', '\u00e4 +&');
      const first = url.href;
      url.search = '?z=1&z=2';
      return [first, [...searchParams], searchParams.getAll('z'), searchParams === url.searchParams,
              (searchParams.delete('z'), url.href)];
  )js") ==
      R"js(["https://u%3A@x.y:99/p%20q?c=d&e=%C3%A4+%2B%26#h",[["z","1"],["z","2"]],["1","2"],true,"https://u%3A@x.y:99/p%20q#h"])js");
}

TEST_CASE("search parameters are made of text, pairs or records, and keep their order") {
  CHECK(evaluated_in_both_profiles(R"js(
      const parameters = new URLSearchParams('?b=1&a=%C3%A4+x&b=2&c&%zz=%');
      parameters.sort();
      const pairs = [...parameters];
      parameters.delete('b', '2');
      parameters.set('a', 'new');
      return [pairs, String(parameters), parameters.size, parameters.has('b', '1'), parameters.has('b', '2'), parameters.get('none'),
              String(new URLSearchParams([['a', 1], ['a', 2]])), String(new URLSearchParams({ x: '\ud800', y: '' })),
              String(new URLSearchParams(new FormData())), await namesOf([() => new URLSearchParams([['a']]), () => parameters.append('a')])];
  )js") == R"js([[["%zz","%"],["a","ä x"],["b","1"],["b","2"],["c",""]],"%25zz=%25&a=new&b=1&c=",4,true,false,null,)js"
           R"js("a=1&a=2","x=%EF%BF%BD&y=","",["TypeError","TypeError"]])js");
}

TEST_CASE("a URL pattern tells which URLs it matches, and with what") {
  CHECK(evaluated_in_both_profiles(R"js(
      const pattern = new URLPattern('/books/:id(\\d+)/*?', 'https://example.com');
      const found = pattern.exec('https://example.com/books/12/more');
      return [found.pathname.groups, found.hostname.input, pattern.test('https://example.com/books/x'), pattern.exec('http://other/'),
              pattern.hasRegExpGroups, new URLPattern({ pathname: '/a{/b}?' }).test({ pathname: '/a/b' }), pattern.pathname,
              await nameOf(() => new URLPattern('(', 'https://x'))];
  )js") == R"js([{"0":"more","id":"12"},"example.com",false,null,true,true,"/books/:id(\\d+)/*?","TypeError"])js");
}

// --- streams -------------------------------------------------------------------------------------------------------

TEST_CASE("a readable stream is pulled when it is read, and not beyond what its strategy wants") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const seen = [];
      let next = 0;
      const stream = new ReadableStream({
        start(controller) { seen.push(['start', controller.desiredSize]); },
        pull(controller) { controller.enqueue(next++); seen.push(controller.desiredSize); },
        cancel(reason) { seen.push(reason); return Promise.resolve(); },
      }, new CountQueuingStrategy({ highWaterMark: 2 }));
      await new Promise((resolve) => setTimeout(resolve, 5));
      const pulled = next, reader = stream.getReader(), first = await reader.read();
      const states = [stream.locked, await nameOf(() => stream.getReader()), await nameOf(() => stream.cancel())];
      await reader.cancel('enough');
      const after = await reader.read();
      reader.releaseLock();
      return [pulled, first, states, after.done, stream.locked, await nameOf(() => reader.read()), seen.slice(0, 4), seen.at(-1)];
  )js") ==
      R"js([2,{"value":0,"done":false},[true,"TypeError","TypeError"],true,false,"TypeError",[["start",2],1,0,0],"enough"])js");
}

TEST_CASE("streams are iterated, split, piped and transformed, and what fails in one fails in the next") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const all = async (stream) => { const chunks = []; for await (const chunk of stream) chunks.push(chunk); return chunks; };
      let cancelled;
      const endless = new ReadableStream({ pull(controller) { controller.enqueue(1); }, cancel(reason) { cancelled = [reason]; } });
      for await (const chunk of endless) break;
      const [one, two] = ReadableStream.from((async function* () { yield 1; yield 2; })()).tee();
      const doubled = new TransformStream({ transform(chunk, controller) { controller.enqueue(2 * chunk); }, flush(controller) { controller.enqueue('end'); } });
      const written = [];
      await ReadableStream.from([1, 2]).pipeThrough(doubled).pipeTo(new WritableStream({ write(chunk) { written.push(chunk); }, close() { written.push('closed'); } }));
      const failing = new TransformStream({ transform() { throw new RangeError('broken'); } });
      const controller = new AbortController();
      const piped = new ReadableStream({}).pipeTo(new WritableStream({ abort(reason) { written.push(reason.message); } }), { signal: controller.signal });
      controller.abort(new EvalError('stop'));
      return [await all(one), await all(two), cancelled, await thrown(() => all(ReadableStream.from([1]).pipeThrough(failing))),
              await thrown(() => piped), written, await all(ReadableStream.from('ab')), await nameOf(() => ReadableStream.from(1))];
  )js") ==
      R"js([[1,2],[1,2],[null],"RangeError: broken","EvalError: stop",[2,4,"end","closed","stop"],["a","b"],"TypeError"])js");
}

TEST_CASE("a byte stream fills the buffers that its reader brings") {
  CHECK(evaluated_in_both_profiles(R"js(
      let from = 0;
      const stream = new ReadableStream({
        type: 'bytes',
        pull(controller) {
          const { byobRequest } = controller;
          if (byobRequest === null) return controller.enqueue(new Uint8Array([200, 201]));
          const { view } = byobRequest;
          for (let at = 0; at < view.byteLength; at++) view[at] = from++;
          byobRequest.respond(Math.min(view.byteLength, 3));
        },
      });
      const reader = stream.getReader({ mode: 'byob' });
      const one = await reader.read(new Uint8Array(2)), two = await reader.read(new Uint16Array(2)), three = await reader.read(new Uint8Array(8), { min: 5 });
      const empty = await nameOf(() => reader.read(new Uint8Array(0)));
      reader.releaseLock();
      const plain = await stream.getReader().read();
      return [[...one.value], two.value.constructor.name, two.value.length, three.value.length, empty, [...plain.value],
              await nameOf(() => new ReadableStream({}).getReader({ mode: 'byob' })), new ByteLengthQueuingStrategy({ highWaterMark: 7 }).size(new Uint8Array(3))];
  )js") == R"js([[0,1],"Uint16Array",1,7,"TypeError",[200,201],"TypeError",3])js");
}

TEST_CASE("a writable stream tells its writer when to wait, and aborts") {
  CHECK(evaluated_in_both_profiles(R"js(
      const seen = [];
      let release, reason;
      const stream = new WritableStream({
        start(controller) { controller.signal.addEventListener('abort', () => { reason = controller.signal.reason; }); },
        write(chunk) { seen.push(chunk); return new Promise((resolve) => { release = resolve; }); },
        abort(reason) { seen.push(['aborted', reason]); },
      }, { highWaterMark: 1 });
      const writer = stream.getWriter();
      await writer.ready;
      const writing = writer.write('a'), size = writer.desiredSize;
      let waited = true;
      writer.ready.then(() => { waited = false; });
      await new Promise((resolve) => setTimeout(resolve, 2));
      const held = waited;
      release();
      await writing;
      await writer.ready;
      const aborted = writer.abort('why');
      return [size, held, seen, await aborted, reason, seen, await nameOf(() => writer.write('b').catch((error) => { throw new Error(error); })),
              await nameOf(() => writer.closed.catch((error) => { throw new SyntaxError(error); }))];
  )js") == R"js([0,true,["a",["aborted","why"]],null,"why",["a",["aborted","why"]],"Error","SyntaxError"])js");
}

TEST_CASE("text streams keep what is split between their chunks") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const through = async (chunks, stream) => {
        const out = [];
        for await (const chunk of ReadableStream.from(chunks).pipeThrough(stream)) out.push(typeof chunk === 'string' ? chunk : [...chunk].join(' '));
        return out;
      };
      const [lead, trail] = '\u{1F499}'.split('');
      const encoded = [];
      for (const chunks of [['I \u00e4'], [lead, trail], [lead, trail + lead, trail], [lead, trail + lead + lead, trail], [lead], [lead, 'A'], [lead, lead],
                            [trail, 'x'], [lead, '', trail], [lead, ''], [''], [1, null]]) encoded.push(await through(chunks, new TextEncoderStream()));
      const decode = (chunks, ...given) => through(chunks.map((bytes) => new Uint8Array(bytes)), new TextDecoderStream(...given));
      const decoder = new TextDecoderStream('UTF8', { fatal: true, ignoreBOM: true });
      return [encoded, await decode([[0xf0, 0x9f], [0x92], [0x99, 65]]), await decode([[0xe2, 0x82]]), await decode([[0xef, 0xbb], [0xbf, 65]]),
              await decode([[0xef, 0xbb], [0xbf, 65]], 'utf-8', { ignoreBOM: true }), await nameOf(() => decode([[0xff]], 'utf-8', { fatal: true })),
              await nameOf(() => decode([[0xe2]], 'utf-8', { fatal: true })), await nameOf(() => through(['text'], new TextDecoderStream())),
              await nameOf(() => through([undefined], new TextDecoderStream())), await nameOf(() => through([Symbol()], new TextEncoderStream())),
              [decoder.encoding, decoder.fatal, decoder.ignoreBOM], new TextEncoderStream().encoding, await nameOf(() => new TextDecoderStream('no such'))];
  )js") ==
      R"js([[["73 32 195 164"],["240 159 146 153"],["240 159 146 153","240 159 146 153"],["240 159 146 153 239 191 189","240 159 146 153"],)js"
      R"js(["239 191 189"],["239 191 189 65"],["239 191 189","239 191 189"],["239 191 189","120"],["240 159 146 153"],["239 191 189"],[],["49","110 117 108 108"]],)js"
      R"js(["💙A"],["�"],["A"],["﻿A"],"TypeError","TypeError","TypeError","TypeError","TypeError",["utf-8",true,true],"utf-8","RangeError"])js");
}

// --- events and the environment ------------------------------------------------------------------------------------

TEST_CASE("events carry what they were made with") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const custom = new CustomEvent('x', { detail: [1], bubbles: true }), error = new ErrorEvent('e', { message: 'm', filename: 'f', lineno: -1, colno: 2.5, error: custom });
      const promise = Promise.resolve(), rejection = new PromiseRejectionEvent('r', { promise, reason: 'why' });
      const target = new EventTarget(), seen = [];
      target.addEventListener('x', (event) => { event.initCustomEvent('y', false, false, 'late'); seen.push(event.type, event.detail); });
      target.dispatchEvent(custom);
      custom.initCustomEvent('y', true, true, 'again');
      const read = [];
      const reading = (...names) => new Proxy({}, { get(of, name) { read.push(name); return name === 'promise' ? promise : undefined; } });
      new CustomEvent('x', reading()); new ErrorEvent('x', reading()); new PromiseRejectionEvent('x', reading());
      return [seen, [custom.type, custom.detail, custom.cancelable, custom.isTrusted], [error.message, error.filename, error.lineno, error.colno, error.error === custom],
              [rejection.promise === promise, rejection.reason], [new CustomEvent('x').detail, new ErrorEvent('x').error, new ErrorEvent('x').message, new ErrorEvent('x').lineno],
              read.join(' '), await namesOf([() => new CustomEvent(), () => new PromiseRejectionEvent('x'), () => new PromiseRejectionEvent('x', {}),
                () => new PromiseRejectionEvent('x', { promise: 1 }), () => new ErrorEvent('x', 1), () => new ErrorEvent('x', { message: Symbol() })])];
  )js") ==
      R"js([["x",[1]],["y","again",true,false],["m","f",4294967295,2,true],[true,"why"],[null,null,"",0],)js"
      R"js("bubbles cancelable composed detail bubbles cancelable composed colno error filename lineno message bubbles cancelable composed promise reason",)js"
      R"js(["TypeError","TypeError","TypeError","TypeError","TypeError","TypeError"]])js");
}

TEST_CASE("reportError writes what was reported to the log, and goes on") {
  Daemon daemon({.modules = {{"module", R"js(
      exports.f = () => {
        reportError(new RangeError('reported'));
        reportError({ get message() { throw 1; } });
        try { reportError(); } catch (error) { return error.name; }
      };
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "f"})) == R"("TypeError")");
  CHECK(daemon.logged("reported as uncaught: RangeError: reported"));
  CHECK(contains(daemon.log(), "module-v1.js:3:21"));
  CHECK(daemon.logged("reported as uncaught: a value that is not an Error was thrown"));
}

TEST_CASE("performance counts from the start of the module by the same clock as Date") {
  CHECK(evaluated_in_both_profiles(R"js(
      const before = Date.now(), now = performance.now(), after = Date.now(), { timeOrigin } = performance;
      let last = 0, steps = true;
      for (let i = 0; i < 10000; i++) {
        const time = performance.now();
        if (time < last || !Number.isInteger(time)) steps = false;
        last = time;
      }
      return [now >= before - timeOrigin && now <= after - timeOrigin, steps, JSON.stringify(performance) === JSON.stringify({ timeOrigin }),
              performance instanceof EventTarget, String(performance), new Event('x').timeStamp >= now];
  )js") == R"js([true,true,true,true,"[object Performance]",true])js");
}

TEST_CASE("performance steps with the clock of the operator's choice") {
  Daemon daemon({.modules = {{"module", "exports.f = () => [performance.now() % 250, performance.timeOrigin % 250];"}},
                 .flags = {"--clock-resolution", "250ms"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "f"})) == "[0,0]");
}

TEST_CASE("navigator names the program") {
  const std::string answer = evaluated_in_both_profiles("return [navigator.userAgent, String(navigator)];");
  CHECK(json::parse(answer)[0].get<std::string>().starts_with("Holdfast/"));
  CHECK(json::parse(answer)[1] == "[object Navigator]");
}

TEST_CASE("strings can be checked for lone surrogates and freed of them") {
  CHECK(evaluated_in_both_profiles(R"js(
      const long = ('x'.repeat(4095) + '\u{1F499}').repeat(3);
      const cut = [long, long + '\ud83d', long + '\udc99', long + '\u{1F499}', long.slice(1), long.slice(0, 4096), 'x'.repeat(4096) + '\udc99\u{1F499}'];
      return [['a\ud800b', '\udc00\ud800', '\u{1F499}', ''].map((text) => [text.isWellFormed(), text.toWellFormed()]),
              cut.map((text) => text.isWellFormed()), cut.map((text) => [...text.toWellFormed()].filter((c) => c === '\ufffd').length),
              String.prototype.toWellFormed.call(12), await namesOf([() => String.prototype.isWellFormed.call(null)]), Object.keys(String.prototype)];
  )js") == R"js([[[false,"a�b"],[false,"��"],[true,"💙"],[true,""]],)js"
           R"js([true,false,false,true,true,false,false],[0,1,1,0,0,1,1],"12",["TypeError"],[]])js");
}

// --- hostile -------------------------------------------------------------------------------------------------------

TEST_CASE("bodies and URLs and streams work in a module that replaces globals") {
  CHECK(evaluated_in_both_profiles(R"js(
      for (const name of ['ReadableStream', 'TransformStream', 'Blob', 'File', 'FormData', 'Headers', 'URL', 'URLSearchParams', 'TextEncoder', 'TextDecoder',
                          'AbortController', 'AbortSignal', 'DOMException', 'Uint8Array', 'ArrayBuffer', 'Map', 'Set', 'WeakMap', 'WeakRef', 'Symbol', 'JSON',
                          'FinalizationRegistry', 'queueMicrotask', 'structuredClone', 'Number', 'Math', 'RegExp']) delete globalThis[name];
      globalThis.Promise = undefined;
      const request = new Request('http://a/b', { method: 'POST', body: 'x=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } });
      const response = new Response(await request.clone().arrayBuffer(), { headers: { a: 'b' } });
      const answer = [request.url, [...await request.formData()], [...response.headers], await (await response.blob()).text()];
      return answer;
  )js") == R"js(["http://a/b",[["x","1"]],[["a","b"]],"x=1"])js");
}

TEST_CASE("a module that looks at a stack gets no function of the runtime, and no object of it") {
  CHECK(evaluated_in_both_profiles(R"js(
      const given = [];
      Error.prepareStackTrace = (error, sites) => {
        for (const site of sites) {
          if (!String(site.getFileName()).startsWith('holdfast:')) continue;
          given.push(site.getFunction(), site.getThis());
        }
      };
      const look = () => void new Error().stack;
      console.log({ get [Symbol.for('nodejs.util.inspect.custom')]() { look(); return () => ''; } });
      console.table([{ get a() { look(); return 1; } }]);
      new ReadableStream({ start() { look(); }, pull(controller) { look(); controller.close(); } });
      new URL({ toString() { look(); return 'http://a'; } });
      new Headers({ get a() { look(); return '1'; } });
      new Blob([{ toString() { look(); return ''; } }]);
      new URLPattern({ get pathname() { look(); return '/a'; } });
      await 0;
      delete Error.prepareStackTrace;
      return [given.length > 10, given.filter((each) => each !== undefined).length];
  )js") == "[true,0]");
}

TEST_CASE("a module that changes prototypes fails at worst its own calls and its worker goes on") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
    Daemon daemon({.modules = {{"hostile", R"js(
        exports.spoil = async () => {
          const boom = () => { throw new Error('spoilt'); };
          for (const type of [Array, Map, Set, WeakMap, String, RegExp, Promise, Uint8Array, ArrayBuffer, ReadableStream, Headers, Blob, URL]) {
            for (const key of Reflect.ownKeys(type.prototype)) {
              const { configurable } = Object.getOwnPropertyDescriptor(type.prototype, key);
              if (key !== 'constructor' && configurable) Object.defineProperty(type.prototype, key, { get: boom, set: boom, configurable: true });
            }
          }
        };
        exports.use = async () => { await new Response(new Blob(['x'])).formData(); };
        exports.pull = async () => { new ReadableStream({ type: 'bytes', pull(controller) { controller.enqueue({}); } }).getReader().read(); };
        exports.plain = async () => 'still here';
    )js"}},
                   .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    call(client, {"hostile", "plain"});
    const auto workers = daemon.workers();
    call(client, {"hostile", "spoil"});
    CHECK(outcome(call(client, {"hostile", "use"})) != "null");
    call(client, {"hostile", "pull"});
    CHECK(outcome(call(client, {"hostile", "plain"})) == R"("still here")");
    CHECK(daemon.workers() == workers);
  }
}

TEST_CASE("bodies and blobs that are larger than the module's memory end as errors, in the call that made them") {
  CHECK(evaluated_in_both_profiles(R"js(
      const part = new Uint8Array(8 << 20), parts = Array(128).fill(new Blob([part]));
      const large = new Blob(parts);
      return [large.size, await namesOf([() => large.arrayBuffer(), () => large.text(), () => new Response(large).bytes()]), await new Response('x').text()];
  )js") == R"js([1073741824,["RangeError","RangeError","RangeError"],"x"])js");
}

}  // namespace
}  // namespace holdfast::test
