// Measures the contenders alternately, and prints how they compare. Started by `run`, which has built what is needed.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';

import { makeCalls } from './calls.mjs';
import { Contender } from './contender.mjs';
import { jobs } from './jobs.mjs';
import { UsageError, parseOptions } from './options.mjs';
import { asText, compare } from './report.mjs';

const root = join(import.meta.dirname, '../../..');

function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

// Rejects with the signal's name when a signal asks the program to end.
const interrupted = new Promise((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => reject(signal));
});
interrupted.catch(() => {});

// In each round each contender runs a slice of each job; another contender goes first in each round. Returns for each
// job and contender an array of its rounds' figures.
async function measure(contenders, options) {
  const measured = {};
  for (const job of options.jobs) measured[job] = Object.fromEntries(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < options.rounds; ++round) {
    const first = round % contenders.length;
    for (const job of options.jobs.filter((name) => round < (jobs[name].rounds ?? Infinity))) {
      for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) {
        progress(`round ${round + 1} of ${options.rounds}: ${job}, ${contender.name}`);
        measured[job][contender.name].push(await Promise.race([contender.run(job), interrupted]));
      }
    }
  }
  return measured;
}

async function describeMachine() {
  const { dependencies, optionalDependencies } = JSON.parse(await readFile(join(import.meta.dirname, 'package.json')));
  return {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.availableParallelism(),
    kernel: `${os.type()} ${os.release()}`,
    load: os.loadavg()[0], // of the minute before, because figures of a busy machine say little
    programs: {
      'Node.js': process.versions.node,
      workerd: optionalDependencies['@cloudflare/workerd-linux-64'],
      piscina: dependencies.piscina,
      'faast.js': dependencies.faastjs,
    },
  };
}

async function run(options, folder) {
  const build = join(root, 'build');
  const packages = join(root, '.deps/npm/tools/bench/peers/node_modules');
  const calls = await makeCalls(build);
  const machine = await describeMachine();
  const notes = {};
  const contenders = [];
  try {
    for (const name of options.contenders) {
      progress(`starting ${name}`);
      contenders.push(new Contender(name, { folder, build, packages, calls }));
      notes[name] = await Promise.race([contenders.at(-1).start(), interrupted]);
    }
    const measured = await measure(contenders, options);
    return {
      machine,
      rounds: options.rounds,
      notes,
      jobs: Object.fromEntries(options.jobs.map((job) => {
        const { title, figures } = jobs[job];
        return [job, { title, figures, compared: compare(figures, measured[job]), measured: measured[job] }];
      })),
    };
  } finally {
    progress('');
    await Promise.all(contenders.map((contender) => contender.stop()));
  }
}

async function main() {
  const options = parseOptions(process.argv.slice(2));
  if (options.help !== undefined) {
    process.stdout.write(options.help);
    return;
  }
  const folder = await mkdtemp(join(os.tmpdir(), 'holdfast-peers-'));
  try {
    const report = await run(options, folder);
    const json = `${JSON.stringify(report, null, 2)}\n`;
    if (options.output !== undefined) {
      await mkdir(options.output, { recursive: true });
      await writeFile(join(options.output, 'peers.json'), json);
    }
    process.stdout.write(options.json ? json : `${asText(report)}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  if (error === 'SIGINT' || error === 'SIGTERM') {
    process.exitCode = 128 + os.constants.signals[error];
  } else {
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
