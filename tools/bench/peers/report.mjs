// The results of a run, as one object for JSON and as tables for people.
import { median, ratio } from './statistics.mjs';

const BASE = 'holdfast';

// `figures` are a job's figures; `measured` has an array of the rounds' figures for each contender. Returns for each
// contender and figure the median over the rounds and, if Holdfast was measured, the ratio to Holdfast's.
export function compare(figures, measured) {
  const of = (contender, { name }) => measured[contender].map((round) => round[name]);
  const compared = {};
  for (const contender of Object.keys(measured)) {
    compared[contender] = {};
    for (const figure of figures) {
      const values = of(contender, figure);
      compared[contender][figure.name] = {
        median: median(values),
        ratio: measured[BASE] === undefined ? null : ratio(values, of(BASE, figure)),
      };
    }
  }
  return compared;
}

const three = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

const shown = {
  ns: (value) => (value < 1e6 ? `${three(value / 1e3)} µs` : `${three(value / 1e6)} ms`),
  bytes: (value) => `${three(value / 2 ** 20)} MB`,
  'calls/s': (value) => value.toFixed(0),
};

const shownRatio = (value) =>
  (value === null ? '' : `${three(value.median)} (${three(value.min)} to ${three(value.max)})`);

function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
    .join('  ').trimEnd()).join('\n');
}

function jobTable({ title, figures, compared, measured }) {
  const header = ['', ...figures.flatMap(({ name, unit }) => [unit === 'calls/s' ? unit : name, 'to Holdfast'])];
  const rows = Object.entries(compared).map(([contender, values]) => [
    contender,
    ...figures.flatMap(({ name, unit }) =>
      [shown[unit](values[name].median), contender === BASE ? '1' : shownRatio(values[name].ratio)]),
  ]);
  const estimated = Object.keys(measured).filter((contender) => measured[contender].some(({ kind }) => kind === 'RSS'));
  const note = estimated.length === 0 ? ''
    : `\nmemory of ${estimated.join(', ')}: RSS, with shared pages counted for each process, for PSS cannot be read here`;
  return `${title}\n${table([header, ...rows])}${note}\n`;
}

// Formats the report that compare.mjs makes.
export function asText({ machine, rounds, notes, jobs }) {
  const programs = Object.entries(machine.programs).map(([name, version]) => `${name} ${version}`).join(', ');
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}; load average before: ${machine.load.toFixed(1)}`,
    `${programs}; rounds: ${rounds}`,
    'Figures are medians over the rounds; ratios to Holdfast those of one round: median (least to greatest).\n',
    ...Object.values(jobs).map(jobTable),
    ...Object.entries(notes).map(([contender, text]) => `${contender}: ${text}`),
  ].join('\n');
}
