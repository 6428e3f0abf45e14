// node run_in_node.mjs BUNDLE CALLS: what Node.js makes of the same bundle. CALLS is a JSON array of [function, payload];
// for each a text is written that ends with a zero byte: the result's JSON, or "exception: " with the name and message of the error. Of a
// stream, the texts that came, as one JSON string.
import { webcrypto } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

globalThis.crypto ??= webcrypto; // Node.js 18 has it only where it is asked for

const [bundle, calls] = process.argv.slice(2);
const exported = bundle.endsWith('.cjs') ? createRequire(import.meta.url)(bundle) : await import(pathToFileURL(bundle));

const outcomeOf = async (name, payload) => {
  const context = {
    requestId: '1', module: 'module', version: 'v1', function: name, env: {}, signal: new AbortController().signal,
    deadline: Date.now() + 30000, remainingTime: () => 30000,
  };
  try {
    let result = await exported[name](payload, context);
    if (result?.[Symbol.asyncIterator] !== undefined) {
      const texts = [];
      for await (const text of result) texts.push(text);
      result = texts.join('');
    }
    return JSON.stringify(result ?? null);
  } catch (error) {
    return `exception: ${error.name}: ${error.message}`;
  }
};

for (const [name, payload] of JSON.parse(calls)) process.stdout.write(`${await outcomeOf(name, payload)}\0`);
process.exit(); // whatever the bundle still waits for, such as messages of a channel
