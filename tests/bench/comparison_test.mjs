// How tools/bench/peers handles its command line and its figures.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { memoryOf } from '../../tools/bench/peers/memory.mjs';
import { UsageError, parseOptions } from '../../tools/bench/peers/options.mjs';
import { Server } from '../../tools/bench/peers/programs.mjs';
import { asText, compare } from '../../tools/bench/peers/report.mjs';
import { median, percentile, ratio, summarize } from '../../tools/bench/peers/statistics.mjs';

test('a percentile is the smallest sample that so many do not exceed', () => {
  const sorted = Array.from({ length: 200 }, (_, index) => index + 1);
  assert.equal(percentile(sorted, 50), 100);
  assert.equal(percentile(sorted, 99), 198);
  assert.equal(percentile(sorted, 100), 200);
  assert.equal(percentile([7], 1), 7);
});

test('a median lies in the middle, and changes nothing', () => {
  const values = [3, 1, 2];
  assert.equal(median(values), 2);
  assert.deepEqual(values, [3, 1, 2]);
  assert.equal(median([4, 1, 10, 2]), 3);
});

test('samples are summarized in numerical order', () => {
  assert.deepEqual(summarize([100, 9, 20]), { count: 3, p50: 20, p99: 100 });
});

test('ratios are those of one round, whatever other rounds were like', () => {
  assert.deepEqual(ratio([20, 300, 8], [10, 100, 2]), { median: 3, min: 2, max: 4 });
});

const figures = [{ name: 'p50', unit: 'ns' }];
const measured = { holdfast: [{ p50: 1000 }, { p50: 2000 }], other: [{ p50: 4000 }, { p50: 12000 }] };

test('each contender is compared with Holdfast', () => {
  assert.deepEqual(compare(figures, measured), {
    holdfast: { p50: { median: 1500, ratio: { median: 1, min: 1, max: 1 } } },
    other: { p50: { median: 8000, ratio: { median: 5, min: 4, max: 6 } } },
  });
});

test('without Holdfast there are figures and no ratios', () => {
  assert.deepEqual(compare(figures, { other: measured.other }), { other: { p50: { median: 8000, ratio: null } } });
});

const machine = { cpu: 'a processor', cores: 2, kernel: 'Linux 6', load: 0.25, programs: { 'Node.js': '20', other: '1' } };

test('a report has a table for each job, and a line for each contender', () => {
  const job = { title: 'a job', figures, measured, compared: compare(figures, measured) };
  assert.equal(asText({ machine, rounds: 2, notes: { other: 'as it comes' }, jobs: { job } }), [
    'a processor, 2 cores, Linux 6; load average before: 0.3',
    'Node.js 20, other 1; rounds: 2',
    'Figures are medians over the rounds; ratios to Holdfast those of one round: median (least to greatest).',
    '',
    'a job',
    '              p50          to Holdfast',
    'holdfast  1.50 µs                    1',
    'other     8.00 µs  5.00 (4.00 to 6.00)',
    '',
    'other: as it comes',
  ].join('\n'));
});

test('a report says whose memory could only be estimated', () => {
  const memory = { other: [{ memory: 2 ** 20, kind: 'RSS' }] };
  const sizes = [{ name: 'memory', unit: 'bytes' }];
  const job = { title: 'a job', figures: sizes, measured: memory, compared: compare(sizes, memory) };
  assert.match(asText({ machine, rounds: 1, notes: {}, jobs: { job } }), /other +1\.00 MB.*\nmemory of other: RSS/);
});

test('contenders and jobs are chosen by their names, in the order that reports have', () => {
  const options = parseOptions(['--only', 'piscina,holdfast', '--jobs', 'add-hot', '--rounds', '2']);
  assert.deepEqual(options.contenders, ['holdfast', 'piscina']);
  assert.deepEqual(options.jobs, ['add-hot']);
  assert.equal(options.rounds, 2);
});

test('a wrong option is named, with what was expected', () => {
  const fails = (args, message) => assert.throws(() => parseOptions(args), (error) => {
    assert.ok(error instanceof UsageError);
    assert.match(error.message, message);
    return true;
  });
  fails(['--only', 'nobody'], /--only: there is no nobody; there are holdfast, /);
  fails(['--jobs', 'add-hot,'], /--jobs: there is no ; there are add-hot, /);
  fails(['--rounds', '0'], /--rounds: 0 is not a number from 1 to 999/);
  fails(['--fast'], /--fast/);
});

test('memory is that of a process and of what it started', async () => {
  const server = await Server.start('sh', ['-c', "trap 'kill $!' TERM; sleep 1000 & echo >&3; wait"]);
  try {
    const family = memoryOf(server.pid);
    assert.match(family.kind, /^(PSS|RSS)$/);
    assert.ok(family.bytes > 0);
    assert.ok(memoryOf(process.pid).bytes > family.bytes);
  } finally {
    await server.stop();
  }
});

test('a server that ends before it is ready is an error that tells what it said', async () => {
  await assert.rejects(Server.start('sh', ['-c', 'echo no such thing >&2']), /sh ended before it was ready:\nno such thing/);
});
