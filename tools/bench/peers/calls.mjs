// The calls that every contender makes. All contenders get the same files, which are CommonJS modules.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);

// Some text around a list, like the confirmation of an order.
const view = {
  customer: 'Ada <ada@example.org>',
  items: Array.from({ length: 12 }, (_, index) => ({ name: `Item & ${index}`, count: index + 1, price: 9.5 * index })),
};
const template = '<h1>For {{customer}}</h1>\n<ul>\n{{#items}}<li>{{count}} × {{name}}: {{price}}</li>\n{{/items}}</ul>\n'
  + '{{^paid}}<p>To be paid within a week.</p>{{/paid}}\n';

// Resolves to {add, render}, each {file, fn, payload, expected}: a call of function `fn` of the module `file` with
// `payload` must answer `expected`. `build` is the build folder.
export async function makeCalls(build) {
  const calls = {
    add: { file: join(import.meta.dirname, 'modules/add.cjs'), fn: 'add', payload: { a: 1, b: 2 } },
    render: { file: join(build, 'tests/real_modules/mustache.cjs'), fn: 'render', payload: { template, view } },
  };
  for (const call of Object.values(calls)) call.expected = await require(call.file)[call.fn](call.payload);
  return calls;
}

// Throws unless `answer` is what the call must answer; numbers and strings only.
export function check(call, answer) {
  if (answer !== call.expected) {
    throw new Error(`${call.fn} answered ${JSON.stringify(answer)}, expected ${JSON.stringify(call.expected)}`);
  }
}
