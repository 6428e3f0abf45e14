// Blob, File, FormData, Headers, Request, Response and fetch, as specified by the File API, the XMLHttpRequest Standard
// and the Fetch Standard.
#include <doctest/doctest.h>

#include <set>
#include <sstream>
#include <string>

#include "tests/javascript/both_profiles.h"

namespace holdfast::test {
namespace {

// --- Blob and File -------------------------------------------------------------------------------------------------

TEST_CASE("a blob is made of strings, buffers, views and blobs, and of what anything else is as a string") {
  CHECK(evaluated_in_both_profiles(R"js(
      const view = new Uint8Array([80, 65, 83, 83]);
      const blob = new Blob(['a\u00e4\ud800', view, view.buffer, new DataView(view.buffer, 1, 2), new Uint16Array([0x4150]),
                             new Blob(['b']), null, 1, {}, ['x', 'y'], { toString: () => 'z' }]);
      view.fill(0);
      const iterable = { *[Symbol.iterator]() { yield 'ab'; yield 'cde'; } };
      return [await blob.text(), blob.size, blob.type, (await new Blob(iterable).text()), new Blob().size,
              new Blob(undefined).size, await new Blob(new String('xyz')).text(), String(blob)];
  )js") == R"(["aä�PASSPASSASPAbnull1[object Object]x,yz",43,"","abcde",0,0,"xyz","[object Blob]"])");
}

TEST_CASE("a blob needs a sequence and a dictionary and exceptions of its arguments are passed on") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const boom = { toString() { throw new EvalError('boom'); } };
      return namesOf([
        ...[null, true, 0, 'text', new Date(), /x/, {}, { 0: 'x', length: 1 }].map((parts) => () => new Blob(parts)),
        ...[123, true, 'abc', Symbol()].map((options) => () => new Blob([], options)),
        () => new Blob([Symbol()]), () => new Blob([], { endings: 'other' }), () => new Blob([boom]),
        () => new Blob([], { type: boom }), () => new Blob([boom], { get type() { throw new Error('too early'); } }),
        () => new File([]), () => new File(), () => new File('text', 'name'), () => new File([], 'name', 1), () => new File([], boom),
      ]);
  )js") ==
      R"(["TypeError","TypeError","TypeError","TypeError","TypeError","TypeError","TypeError","TypeError",)"
      R"("TypeError","TypeError","TypeError","TypeError","TypeError","TypeError","EvalError","EvalError","EvalError",)"
      R"("TypeError","TypeError","TypeError","TypeError","EvalError"])");
}

TEST_CASE(
    "a blob's options are read in their order; its type is small ASCII or nothing; its line ends are as asked for") {
  CHECK(evaluated_in_both_profiles(R"js(
      const read = [];
      const member = (name, value) => ({ toString() { read.push(`${name} as text`); return value; } });
      new File([{ toString() { read.push('part'); return ''; } }], member('name', 'x'), {
        get type() { read.push('type'); return member('type', ''); },
        get lastModified() { read.push('lastModified'); return 1; },
        get endings() { read.push('endings'); return member('endings', 'native'); },
      });
      const types = ['TEXT/HTML', ' a/b ', '\ta/b', 'a/\u00e5', 'a\u0000', 'a/b\u007f'].map((type) => new Blob([], { type }).type);
      const text = '\na\r\nb\n\rc\r';
      return [read, types, await new Blob([text]).text(), await new Blob([text], { endings: 'native' }).text()];
  )js") == R"js([["part","name as text","endings","endings as text","type","type as text","lastModified"],)js"
           R"js(["text/html"," a/b ","","","",""],"\na\r\nb\n\rc\r","\na\nb\n\nc\n"])js");
}

TEST_CASE("a slice of a blob has the bytes between its ends, counted from either side, and shares them") {
  CHECK(evaluated_in_both_profiles(R"js(
      const blob = new Blob(['012', '34', '', '56789'], { type: 'a/b' });
      const texts = await Promise.all([[], [2], [2, 6], [-3], [-3, -1], [5, 2], [0, 100], [-100, 1], [1.5, 2.5], [NaN, 1],
                                       [undefined, undefined], [2 ** 40], [-(2 ** 70), 2 ** 70], ['1', '3']]
                                      .map((ends) => blob.slice(...ends).text()));
      const typed = blob.slice(0, 1, 'C/D');
      return [texts, blob.slice().type, typed.type, await blob.slice(2, 8).slice(1, 3).text(), typed instanceof Blob];
  )js") ==
        R"([["0123456789","23456789","2345","789","78","","0123456789","0","","0","0123456789","","0123456789","12"],)"
        R"("","c/d","34",true])");
}

TEST_CASE("a blob can be read whole or as a stream and as often as needed and each time as a fresh copy") {
  CHECK(evaluated_in_both_profiles(R"js(
      const blob = new Blob(['\ufeffab', new Uint8Array([1, 255])]);
      (await blob.bytes()).fill(0);
      const reader = blob.stream().getReader({ mode: 'byob' }), parts = [];
      for (let part; !(part = await reader.read(new Uint8Array(3))).done;) parts.push([...part.value]);
      const large = new Blob(['x'.repeat(150000)]);
      const lengths = [];
      for await (const chunk of large.stream()) lengths.push(chunk.length);
      return [await blob.text(), [...new Uint8Array(await blob.arrayBuffer())], [...await blob.bytes()], parts, lengths,
              (await new Blob().bytes()).length, (await new Blob().stream().getReader().read()).done];
  )js") == R"(["ab\u0001�",[239,187,191,97,98,1,255],[239,187,191,97,98,1,255],[[239,187,191],[97,98],[1,255]],)"
           R"([65536,65536,18928],0,true])");
}

TEST_CASE("a file is a blob with a name and the time when it was changed") {
  CHECK(evaluated_in_both_profiles(R"js(
      const before = Date.now(), file = new File(['ab'], 'a/b\ud800.txt', { type: 'A/B', lastModified: 42.9 });
      const now = new File([], '').lastModified;
      return [file.name, file.size, file.type, file.lastModified, await file.text(), file instanceof Blob, String(file),
              now >= before && now <= Date.now(), [NaN, 'x', new Date(7), -1, 2 ** 64 + 2 ** 20].map((lastModified) =>
                new File([], '', { lastModified }).lastModified), file.slice() instanceof File];
  )js") == R"(["a/b�.txt",2,"a/b",42,"ab",true,"[object File]",true,[0,0,7,-1,1048576],false])");
}

// --- FormData ------------------------------------------------------------------------------------------------------

TEST_CASE("a form's entries are kept in order; blobs in it become files") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const form = new FormData();
      form.append('a', 1);
      form.append('b', new Blob(['x'], { type: 'a/b' }));
      form.append('b', new Blob(['y']), 'named.txt');
      form.append('b', new File(['z'], 'own.txt', { lastModified: 3 }), 'other.txt');
      form.append('a', '2');
      form.append('c', 'lone \ud800');
      const shown = [...form].map(([name, value]) => [name, typeof value === 'string' ? value : [value.name, value.type, value.constructor.name]]);
      form.set('a', 'only');
      form.set('d', 'new');
      form.delete('b');
      const each = [];
      form.forEach((value, name, of) => each.push([name, value, of === form]));
      return [shown, each, form.get('b'), form.getAll('a'), form.has('c'), form.has('C'),
              await namesOf([() => form.append('a', 'text', 'name'), () => form.append('a'), () => new FormData(1)])];
  )js") ==
      R"([[["a","1"],["b",["blob","a/b","File"]],["b",["named.txt","","File"]],["b",["other.txt","","File"]],["a","2"],)"
      R"(["c","lone �"]],[["a","only",true],["c","lone �",true],["d","new",true]],null,["only"],true,false,)"
      R"(["TypeError","TypeError","TypeError"]])");
}

TEST_CASE("a form goes through a body and comes back: names, values, files, and what must be escaped") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const form = new FormData();
      form.append('a "quoted"\r\nname', 'line\nends');
      form.append('file', new File(['\r\n--', new Uint8Array([0, 255])], 'a"\n.bin', { type: 'a/b' }));
      form.append('empty', '');
      const response = new Response(form);
      const type = response.headers.get('content-type');
      const text = (await response.clone().text()).replaceAll(type.split('boundary=')[1], 'BOUNDARY');
      const back = await response.formData();
      const file = back.get('file');
      const other = new Request('http://x/', { method: 'POST', body: form }).headers.get('content-type');
      return [/^multipart\/form-data; boundary=[-0-9a-z]{27,70}$/.test(type), other !== type, text.slice(0, 94),
              [...back.keys()], back.get('a "quoted"\r\nname'), file.name, file.type, [...await file.bytes()]];
  )js") ==
      R"js([true,true,"--BOUNDARY\r\nContent-Disposition: form-data; name=\"a %22quoted%22%0D%0Aname\"\r\n\r\nline\r\nends\r\n--B",)js"
      R"js(["a \"quoted\"\r\nname","file","empty"],"line\r\nends","a\"\n.bin","a/b",[13,10,45,45,0,255]])js");
}

TEST_CASE("no two workers draw the same boundaries even if a module replaces crypto") {
  const std::string code = R"js(
      const types = () => [1, 2, 3].map(() => new Response(new FormData()).headers.get('content-type').split('boundary=')[1]);
      exports.f = () => {
        const before = types();
        globalThis.crypto = { getRandomValues() { throw new Error('not mine'); } };
        Crypto.prototype.getRandomValues = () => 1;
        Math.random = () => 0;
        return [...before, ...types()].join();
      };)js";
  Daemon daemon({.modules = {{"one", code}, {"other", code}}});
  ipc::Client client = daemon.connect();
  std::set<std::string> boundaries;
  for (const char* module : {"one", "other"}) {
    std::istringstream drawn(outcome(call(client, {module, "f"})));
    for (std::string boundary; std::getline(drawn, boundary, ',');) boundaries.insert(boundary);
  }
  CHECK(boundaries.size() == 12);
}

TEST_CASE("a body that is not a valid form is a TypeError") {
  CHECK(evaluated_in_both_profiles(R"js(
      const read = (body, type) => new Response(body, { headers: { 'content-type': type } }).formData();
      const multipart = 'multipart/form-data; boundary=x';
      const fine = await read('--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n', multipart);
      return [[...fine], [...await read('a=1&b=%20%C3%A4+x&a=2', 'application/x-www-form-urlencoded')],
        await namesOf([() => read('a=1', 'text/plain'), () => new Response('').formData(), () => read('', multipart),
                       () => read('--x\r\n', multipart), () => read('--x\r\nContent-Disposition: form-data\r\n\r\nb\r\n--x--', multipart),
                       () => read('--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb', multipart),
                       () => read('x', 'multipart/form-data')])];
  )js") == R"js([[["a","b"]],[["a","1"],["b"," ä x"],["a","2"]],)js"
           R"js(["TypeError","TypeError","TypeError","TypeError","TypeError","TypeError","TypeError"]])js");
}

// --- Headers -------------------------------------------------------------------------------------------------------

TEST_CASE("headers are combined, sorted and small; cookies are kept apart") {
  CHECK(evaluated_in_both_profiles(R"js(
      const headers = new Headers([['X-B', ' 1 '], ['a', '2'], ['x-b', '3']]);
      headers.append('Set-Cookie', 'c=1');
      headers.append('set-cookie', 'd=2, e');
      headers.set('A', 'new');
      const all = [...headers];
      headers.delete('x-B');
      return [all, headers.get('X-B'), headers.has('a'), headers.get('set-cookie'), headers.getSetCookie(),
              [...new Headers({ b: 1, A: 'x' }).keys()], [...new Headers(headers).values()], [...new Headers()],
              [...new Headers(new Map([['m', 'n']]))]];
  )js") == R"([[["a","new"],["set-cookie","c=1"],["set-cookie","d=2, e"],["x-b","1, 3"]],null,true,"c=1, d=2, e",)"
           R"(["c=1","d=2, e"],["a","b"],["new","c=1","d=2, e"],[],[["m","n"]]])");
}

TEST_CASE("an invalid header is a TypeError and so is a change to immutable headers") {
  CHECK(evaluated_in_both_profiles(R"js(
      const headers = new Headers();
      return namesOf([() => new Headers([['a']]), () => new Headers([['a', 'b', 'c']]), () => new Headers(1), () => new Headers(null),
        () => headers.append('a b', 'x'), () => headers.append('', 'x'), () => headers.set('a', 'x\ny'), () => headers.set('a', 'x\0'),
        () => headers.set('\u0100', 'x'), () => headers.set('a', '\u0100'), () => headers.get('\u00e4'), () => headers.append('a'),
        () => Response.error().headers.set('a', 'b'), () => Response.redirect('http://x/').headers.append('a', 'b')]);
  )js") == R"(["TypeError","TypeError","TypeError","TypeError","TypeError","TypeError","TypeError","TypeError",)"
           R"("TypeError","TypeError","TypeError","TypeError","TypeError","TypeError"])");
}

// --- Request and Response ------------------------------------------------------------------------------------------

TEST_CASE("bodies of each kind bring their type, and are read in each way") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const bodies = ['text\ud800', new Blob(['blob'], { type: 'a/b' }), new Uint8Array([1, 2]).buffer, new Uint8Array([3]),
                      new URLSearchParams({ a: 'b c' }), new Blob(['untyped'])];
      const seen = [];
      for (const body of bodies) {
        const response = new Response(body);
        seen.push([response.headers.get('content-type'), await response.clone().text(), [...await response.bytes()].length, response.bodyUsed]);
      }
      const blob = await new Response('x', { headers: { 'content-type': 'Text/Plain;Charset=UTF-8' } }).blob();
      const json = (text) => new Response(text).json();
      return [seen, blob.type, await json('\ufeff{"a":[1]}'), (await new Response('ab').arrayBuffer()).byteLength,
              await new Response().text(), new Response().body, new Response(null).body, await nameOf(() => json('{'))];
  )js") ==
      R"js([[["text/plain;charset=UTF-8","text�",7,true],["a/b","blob",4,true],[null,"\u0001\u0002",2,true],[null,"\u0003",1,true],)js"
      R"js(["application/x-www-form-urlencoded;charset=UTF-8","a=b+c",5,true],[null,"untyped",7,true]],)js"
      R"js("text/plain;charset=utf-8",{"a":[1]},2,"",null,null,"SyntaxError"])js");
}

TEST_CASE("a body is read once; its copies are read apart") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const response = new Response('once'), copy = response.clone();
      const unused = response.bodyUsed, text = await response.text();
      const locked = new Response('x');
      locked.body.getReader();
      const streamed = new Response(new ReadableStream({
        start(controller) { for (const byte of [104, 105]) controller.enqueue(new Uint8Array([byte])); controller.close(); },
      }));
      const two = streamed.clone();
      const failing = new Response(new ReadableStream({ pull(controller) { controller.error(new RangeError('broken')); } }));
      const strange = new Response(new ReadableStream({ start(controller) { controller.enqueue('no bytes'); controller.close(); } }));
      return [unused, text, response.bodyUsed, await nameOf(() => response.text()), await nameOf(() => response.clone()),
              await copy.text(), locked.bodyUsed, await namesOf([() => locked.text(), () => locked.clone()]),
              await streamed.text(), await two.text(), await thrown(() => failing.text()), await nameOf(() => strange.text()),
              await nameOf(() => new Response(streamed.body))];
  )js") ==
      R"js([false,"once",true,"TypeError","TypeError","once",false,["TypeError","TypeError"],"hi","hi","RangeError: broken","TypeError","TypeError"])js");
}

TEST_CASE("the copy of a body has chunks of its own, and fails, ends and is cancelled with it") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const cancelled = [];
      const streamOf = (...chunks) => new ReadableStream({
        start(controller) { for (const chunk of chunks) controller.enqueue(chunk); },
        pull(controller) { controller.close(); },
        cancel(reason) { cancelled.push(reason); },
      });
      const read = async (body) => { const seen = []; for await (const chunk of body) seen.push(chunk); return seen; };
      const view = new Uint16Array(new Uint16Array([7, 8, 9]).buffer, 2, 1), first = new Response(streamOf(view, 'text')), second = first.clone();
      const [[mine], [copy, text]] = await Promise.all([read(first.body), read(second.body)]);
      view[0] = 1;
      const third = new Response(streamOf(new Uint8Array([1]), () => {}, 'more', 'and more')), fourth = third.clone();
      const refused = [await nameOf(() => read(third.body)), await nameOf(() => read(fourth.body)), cancelled.splice(0).map(({ name }) => name)];
      const fifth = new Response(streamOf(new Uint8Array([104])).pipeThrough(new TransformStream())), sixth = fifth.clone();
      await Promise.all([sixth.body.cancel('b'), fifth.text()]);
      const seventh = new Request('http://x/', { method: 'POST', duplex: 'half', body: streamOf(new Uint8Array([104, 105])) }), eighth = seventh.clone();
      await Promise.all([seventh.body.cancel('one'), eighth.body.cancel('two')]);
      const bytes = new Response(new ReadableStream({ type: 'bytes', start(controller) { controller.enqueue(new Uint8Array([111, 107])); controller.close(); } }));
      const reader = bytes.clone().body.getReader({ mode: 'byob' });
      return [mine === view, copy === view, copy instanceof Uint16Array, [...copy], text, refused, cancelled,
              [...(await reader.read(new Uint8Array(5))).value], await bytes.text()];
  )js") ==
      R"js([true,false,true,[8],"text",["DataCloneError","DataCloneError",["DataCloneError"]],[["one","two"]],[111,107],"ok"])js");
}

TEST_CASE("a body is what its stream yields even if a module tampers with promises") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const streamed = () => new Response(new ReadableStream({
        start(controller) { controller.enqueue(new Uint8Array([104, 105])); controller.close(); },
      }));
      const responses = [streamed(), new Response('text'), new Response(new Uint8Array([104])), new Response(new Blob(['blob'])), streamed()];
      const spoilt = [], texts = [], locked = [];
      for (const response of responses) {
        Object.prototype.then = function (resolve) {
          delete Object.prototype.then;
          spoilt.push(Object.keys(this).join());
          resolve({ done: true, value: undefined });
        };
        const text = response.text();
        locked.push([response.bodyUsed, response.body.locked]);
        texts.push(await text);
        delete Object.prototype.then;
        locked.push(response.body.locked);
      }
      const late = new Response(new ReadableStream({
        start(controller) { controller.enqueue(new Uint8Array([104])); },
        pull(controller) { controller.error(new RangeError('late')); },
      }));
      const many = new Response(new ReadableStream({
        start(controller) { for (let i = 0; i < 30000; i++) controller.enqueue(new Uint8Array(2)); controller.close(); },
      }));
      let count = 0;
      const slow = new Response(new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve));
          count++ < 3 ? controller.enqueue(new Uint8Array([96 + count])) : controller.close();
        },
      }));
      return [texts, spoilt, locked, await thrown(() => late.text()), (await many.bytes()).length, await slow.text()];
  )js") ==
      R"js([["hi","text","h","blob","hi"],[],[[true,true],true,[true,true],true,[true,true],true,[true,true],true,[true,true],true],"RangeError: late",60000,"abc"])js");
}

TEST_CASE("a response has a valid status and the static constructors make the specified ones") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const response = new Response('x', { status: 404, statusText: 'Not Here', headers: [['a', 'b']] });
      const error = Response.error(), json = Response.json({ a: [1] }, { status: 201 }), redirect = Response.redirect('http://x/y?z', 308);
      return [[response.status, response.ok, response.statusText, response.type, response.url, response.redirected, response.headers.get('a')],
              [error.type, error.status, error.body], [json.status, json.ok, json.headers.get('content-type'), await json.text()],
              [redirect.status, redirect.headers.get('location')],
              await namesOf([() => new Response('', { status: 199 }), () => new Response('', { status: 600 }), () => new Response('x', { status: 204 }),
                             () => new Response('', { statusText: 'a\n' }), () => Response.redirect('http://x/', 200), () => Response.redirect('/x'),
                             () => Response.json(undefined), () => Response.json(1n), () => new Response('', 1)])];
  )js") ==
      R"js([[404,false,"Not Here","default","",false,"b"],["error",0,null],[201,true,"application/json","{\"a\":[1]}"],)js"
      R"js([308,"http://x/y?z"],["RangeError","RangeError","TypeError","TypeError","RangeError","TypeError","TypeError","TypeError","TypeError"]])js");
}

TEST_CASE("a request has a method, an address, headers, a body and a signal, its own or those that it follows") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const controller = new AbortController();
      const request = new Request('http://EXAMPLE.org/a/../b#c', { method: 'post', body: 'x', signal: controller.signal, headers: { 'X-A': 'b' } });
      const copy = request.clone(), further = new Request(request, { headers: { b: 'c' }, method: 'put' });
      const used = request.bodyUsed;
      controller.abort('why');
      const make = (init) => () => new Request('http://x/', init);
      return [[request.method, request.url, [...request.headers], request.redirect, request.credentials, request.mode], used,
              request.signal === controller.signal, [request, copy, further].map(({ signal }) => [signal.aborted, signal.reason]),
              [further.method, further.url, [...further.headers], await further.text()], await copy.text(), new Request('http://x/').signal.aborted,
              await namesOf([make({ method: 'GET', body: 'x' }), make({ method: 'CONNECT' }), make({ method: 'a b' }), make({ signal: {} }),
                             make({ mode: 'navigate' }), make({ body: new ReadableStream(), method: 'POST' }), () => new Request('/relative'),
                             () => new Request('http://user@x/'), () => new Request()])];
  )js") ==
      R"js([["POST","http://example.org/b#c",[["content-type","text/plain;charset=UTF-8"],["x-a","b"]],"follow","same-origin","cors"],true,)js"
      R"js(false,[[true,"why"],[true,"why"],[true,"why"]],["PUT","http://example.org/b#c",[["b","c"]],"x"],"x",false,)js"
      R"js(["TypeError","TypeError","TypeError","TypeError","TypeError","TypeError","TypeError","TypeError","TypeError"]])js");
}

// --- fetch ---------------------------------------------------------------------------------------------------------

TEST_CASE("fetch is rejected with an error that says that there is no network; data: URLs need none") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const response = await fetch('data:text/plain;charset=x;base64,aGk=');
      const aborted = AbortSignal.abort(new RangeError('stop'));
      return [await thrown(() => fetch('https://example.org/')), await thrown(() => fetch(new Request('http://x/', { method: 'POST', body: 'x' }))),
              await namesOf([() => fetch(), () => fetch('/x'), () => fetch('data:x'), () => fetch('file:///etc/passwd'), () => fetch('blob:x')]),
              await thrown(() => fetch('http://x/', { signal: aborted })), fetch('http://x/').catch(() => {}) instanceof Promise,
              [response.status, response.statusText, response.type, response.headers.get('content-type'), await response.text()],
              await (await fetch('data:,a%20b')).text()];
  )js") ==
      R"js(["TypeError: fetch failed: modules have no network access","TypeError: fetch failed: modules have no network access",)js"
      R"js(["TypeError","TypeError","TypeError","TypeError","TypeError"],"RangeError: stop",true,)js"
      R"js([200,"OK","basic","text/plain;charset=x","hi"],"a b"])js");
}

TEST_CASE("a fetch that was aborted cancels its request's body, and what is still to be read of an answer fails") {
  CHECK(
      evaluated_in_both_profiles(R"js(
      const controller = new AbortController(), cancelled = [];
      const [whole, read, copied] = await Promise.all([1, 2, 3].map(() => fetch('data:,abc', { signal: controller.signal })));
      const copy = copied.clone(), text = await read.text();
      controller.abort(new RangeError('stop'));
      const body = new ReadableStream({ cancel(reason) { cancelled.push(reason.message); } });
      const sent = fetch('http://x/', { method: 'POST', duplex: 'half', body, signal: controller.signal });
      const atOnce = cancelled.length;
      return [await thrown(() => sent), atOnce, cancelled, text, await thrown(() => whole.text()), await thrown(() => whole.text()),
              await thrown(() => copied.text()), await thrown(() => copy.text()),
              await (await fetch(new Request('data:,abc', { signal: controller.signal }), { signal: null })).text()];
  )js") ==
      R"js(["RangeError: stop",1,["stop"],"abc","RangeError: stop","RangeError: stop","RangeError: stop","RangeError: stop","abc"])js");
}

}  // namespace
}  // namespace holdfast::test
