// Checks tools/types against the compiler and against a real worker:
//
//   node check.mjs TOOLS_TYPES GUIDE TYPESCRIPT HOLDFAST HOLDFASTD
//
// The arguments: the folder of the declarations, docs/modules.md, the folder of the typescript package, the programs.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { after } from 'node:test';

const [declarations, guide, typescript, holdfast, holdfastd] = process.argv.slice(2).map((path) => resolve(path));
const ts = createRequire(import.meta.url)(typescript);
const here = dirname(fileURLToPath(import.meta.url));

// An author's folder, with the package where `npm install --save-dev ./tools/types` puts it.
const folder = mkdtempSync(join(tmpdir(), 'holdfast-types-'));
after(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, 'node_modules'));
symlinkSync(declarations, join(folder, 'node_modules/holdfast-types'));
for (const file of ['module.ts', 'refused.ts', 'tsconfig.json']) cpSync(join(here, file), join(folder, file));

function run(file, name, ...more) {
  const found = spawnSync(holdfast, ['run', file, name, ...more], { encoding: 'utf8' });
  assert.equal(found.status, 0, `holdfast run ${name} ${more.join(' ')}: ${found.stderr}`);
  return found.stdout;
}

test('a module with declared types compiles, and bad uses of them do not', () => {
  const { status, stdout } = spawnSync(process.execPath, [join(typescript, 'bin/tsc'), '-p', folder], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

test('the compiler refuses each of the bad uses, so that the test above can fail', () => {
  const file = join(folder, 'refused.ts');
  const bad = readFileSync(file, 'utf8');
  const uses = bad.match(/@ts-expect-error:/g).length;
  writeFileSync(join(folder, 'bare.ts'), bad.replace(/@ts-expect-error:/g, ''));
  const { status, stdout } = spawnSync(process.execPath, [join(typescript, 'bin/tsc'), '-p', folder], { encoding: 'utf8' });
  rmSync(join(folder, 'bare.ts'));
  assert.notEqual(status, 0);
  assert.equal(stdout.match(/^bare\.ts|bare\.ts\(/gm).length, uses, stdout);
});

test('the module does in a worker what its types say', () => {
  const file = join(folder, 'module-v1.mjs');
  const { outputText } = ts.transpileModule(readFileSync(join(folder, 'module.ts'), 'utf8'),
    { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, inlineSourceMap: true } });
  writeFileSync(file, outputText);
  const json = (...call) => JSON.parse(run(file, ...call));
  assert.deepEqual(json('whoAmI'), { requestId: 'string', module: 'string', version: 'string', function: 'whoAmI', env: true,
    aborted: false, deadline: true, remaining: true });
  assert.equal(json('add', '--args', '[2,3]'), 5);
  assert.equal(run(file, 'count', '{"to":3}'), '1\n2\n3\n"done"\n');
  assert.equal(run(file, 'letters', '"ab"'), '"a"\n"b"\n');
  assert.deepEqual(json('webAssembly'), []);
  assert.deepEqual(json('platform'), { seen: 'heard', text: 'to and fro', verified: true, file: ['name.txt', 8],
    refused: 'TypeError', pattern: '7', parsed: 0, last: 2, wellFormed: false, copy: 0, message: [5, true], agent: true, now: true, status: 'b',
    reason: 20 });
  const digest = execFileSync(holdfast, ['run', file, 'digest', '--encoding', 'bytes', 'abc'], { stdio: ['ignore', 'pipe', 'ignore'] });
  assert.equal(digest.toString('hex'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

// --- what is declared, and what there is ---------------------------------------------------------------------------

const entry = join(declarations, 'holdfast.d.ts');
const program = ts.createProgram([entry], { lib: ['lib.es2022.d.ts'], types: [], target: ts.ScriptTarget.ES2022, strict: true });
const checker = program.getTypeChecker();
const source = program.getSourceFile(entry);

function nameOf(symbol) {
  const name = symbol.escapedName;
  const wellKnown = /^__@(\w+)@\d+$/.exec(name);
  return wellKnown ? `Symbol.${wellKnown[1]}` : ts.unescapeLeadingUnderscores(name);
}

const namesOf = (type) => type.getProperties().map(nameOf).sort();
const isOurs = (symbol) => symbol.declarations.every((each) => resolve(each.getSourceFile().fileName).startsWith(declarations));

function declare(symbols, prefix, found) {
  for (const symbol of symbols) {
    const type = checker.getTypeOfSymbol(symbol);
    const members = namesOf(type);
    const prototype = type.getProperty('prototype');
    found[prefix + symbol.name] = { members, ours: isOurs(symbol),
      instance: prototype && prototype.name !== 'Function' && type.getConstructSignatures().length > 0
        ? namesOf(checker.getApparentType(checker.getTypeOfSymbol(prototype))) : undefined };
  }
  return found;
}

function declared() {
  const values = checker.getSymbolsInScope(source, ts.SymbolFlags.Value).filter((symbol) => symbol.name !== 'globalThis');
  const webAssembly = values.find((symbol) => symbol.name === 'WebAssembly');
  return declare(checker.getExportsOfModule(webAssembly).filter((symbol) => symbol.flags & ts.SymbolFlags.Value),
    'WebAssembly.', declare(values, '', {}));
}

// Declared, but not there.
const NOT_THERE = {
  // TypeScript's declarations of ArrayBufferLike and of typed arrays need it.
  'SharedArrayBuffer': 'declared by the lib ES2022',
  // Parameters of a CommonJS module.
  'module': 'a parameter', 'exports': 'a parameter',
  // Own properties of each object, which its prototype does not have.
  'isTrusted': 'own', 'stack': 'own', 'cause': 'own', 'errors': 'own', 'lastIndex': 'own', 'raw': 'own',
};
// There, but not declared.
const NOT_DECLARED = [
  [/^Intl\.v8BreakIterator$/, 'of V8 alone'],
  [/^Atomics\.waitAsync$/, 'is for SharedArrayBuffers, of which there are none'],
  [/^Date\.prototype\.([gs]etYear|toGMTString)$/, 'deprecated: Annex B of ECMAScript'],
  // Their parameters differ between versions of TypeScript, so nothing can be merged into them.
  [/^\w+Array\.prototype\.findLast(Index)?$/, 'of typed arrays'],
  // The lib ES2022 has them elsewhere, or leaves them out.
  [/^\w+Array\.Symbol\.species$/, 'of typed arrays'],
  [/^AggregateError\.(captureStackTrace|stackTraceLimit)$/, 'inherited from Error'],
  [/^(Symbol|BigInt)\.prototype\./, 'of primitive values'],
];

// What every function and every object has.
const EVERY_FUNCTION = new Set(['length', 'name', 'prototype', 'arguments', 'caller']);
const UNDECLARED_MEMBERS = new Set(['constructor', 'Symbol.toStringTag', 'toString']);

function difference(of, from) {
  const other = new Set(from);
  return of.filter((name) => !other.has(name));
}

test('what is declared is what there is in a worker, in both directions', () => {
  const there = JSON.parse(run(join(here, 'inventory.js'), 'list'));
  const said = declared();
  const names = (all) => Object.keys(all);
  const missing = difference(names(said), names(there)).filter((name) => !(name in NOT_THERE) && name !== 'globalThis');
  const surplus = difference(names(there), names(said)).filter((name) => name !== 'globalThis');
  for (const name of names(said)) {
    if (!(name in there)) continue;
    for (const [part, path] of [['members', name], ['instance', `${name}.prototype`]]) {
      if (there[name][part] === undefined) continue; // a number, say, or the global object
      const isOwn = (each) => part === 'instance' && name !== 'Function' || !EVERY_FUNCTION.has(each);
      const declaredHere = (said[name][part] ?? []).filter(isOwn);
      const foundHere = there[name][part].filter(isOwn);
      missing.push(...difference(declaredHere, foundHere).filter((each) => !(each in NOT_THERE) && !UNDECLARED_MEMBERS.has(each))
        .map((each) => `${path}.${each}`));
      surplus.push(...difference(foundHere, declaredHere).filter((each) => !UNDECLARED_MEMBERS.has(each))
        .map((each) => `${path}.${each}`));
    }
  }
  assert.deepEqual(missing, [], 'declared, and not in a worker');
  const isExcused = (path) => NOT_DECLARED.some(([pattern]) => pattern.test(path));
  assert.deepEqual(surplus.filter((path) => !isExcused(path)), [], 'in a worker, and not declared');
});

test('the strict profile has all of it but WebAssembly', async () => {
  const there = Object.keys(JSON.parse(run(join(here, 'inventory.js'), 'list')));
  cpSync(join(here, 'inventory.js'), join(folder, 'inventory-v1.js'));
  const socket = join(folder, 'socket');
  const daemon = spawn(holdfastd, ['--modules', folder, '--socket', socket, '--profile', 'strict', '--ready-fd', '3',
    '--log-level', 'error'], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
  try {
    await Promise.race([once(daemon.stdio[3], 'data'), once(daemon, 'exit')]);
    const strict = execFileSync(holdfast, ['invoke', 'inventory@v1', 'list', '--socket', socket], { encoding: 'utf8' });
    assert.deepEqual(difference(there, Object.keys(JSON.parse(strict))).filter((name) => !name.startsWith('WebAssembly')), []);
    assert.deepEqual(difference(Object.keys(JSON.parse(strict)), there), []);
    assert.ok(!('WebAssembly' in JSON.parse(strict)));
  } finally {
    if (daemon.exitCode === null) {
      daemon.kill();
      await once(daemon, 'exit');
    }
  }
});

test('the guide names each global that is no part of ECMAScript', () => {
  const text = readFileSync(guide, 'utf8');
  const said = declared();
  const ours = Object.keys(JSON.parse(run(join(here, 'inventory.js'), 'list'))).filter((name) => said[name]?.ours && !name.includes('.'));
  assert.ok(ours.length > 50);
  assert.deepEqual(ours.filter((name) => !text.includes(`\`${name}\``)), []);
});

test('a context has what is declared of it', () => {
  const context = checker.getExportsOfModule(checker.getSymbolAtLocation(source)).find(({ name }) => name === 'Context');
  assert.deepEqual(namesOf(checker.getDeclaredTypeOfSymbol(context)), JSON.parse(run(join(here, 'inventory.js'), 'context')));
});
