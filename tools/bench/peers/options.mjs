// The command line of tools/bench/peers/run.
import { parseArgs } from 'node:util';

import { Contender } from './contender.mjs';
import { jobs } from './jobs.mjs';

const usage = `Usage: tools/bench/peers/run [--rounds N] [--only NAME,...] [--jobs NAME,...]
                             [--json] [--output DIR]

Measures the same calls on Holdfast and on other ways to run JavaScript
functions, one after the other, in rounds, so that what disturbs the machine for a
while disturbs all. Prints a table for each job: medians over the rounds, and how
they compare with Holdfast's in the same round. Installs the npm packages of
tools/bench/peers and builds what is missing. Takes some minutes.

  --rounds N       how many rounds (5)
  --only NAME,...  these contenders only:
                   ${Contender.names.slice(0, 3).join(', ')},
                   ${Contender.names.slice(3).join(', ')}
  --jobs NAME,...  these jobs only:
                   ${Object.keys(jobs).slice(0, 3).join(', ')},
                   ${Object.keys(jobs).slice(3).join(', ')}
  --json           print all figures of all rounds as JSON
  --output DIR     write the same to DIR/peers.json as well
  -h, --help       this text
`;

export class UsageError extends Error {}

function chosen(text, known, option) {
  if (text === undefined) return known;
  const names = text.split(',');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new UsageError(`${option}: there is no ${unknown}; there are ${known.join(', ')}`);
  return known.filter((name) => names.includes(name));
}

// {rounds, contenders, jobs, json, output}, or {help} with the text; throws UsageError.
export function parseOptions(args) {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        rounds: { type: 'string', default: '5' },
        only: { type: 'string' },
        jobs: { type: 'string' },
        json: { type: 'boolean', default: false },
        output: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new UsageError(error.message);
  }
  if (values.help) return { help: usage };
  if (!/^[1-9]\d{0,2}$/.test(values.rounds)) {
    throw new UsageError(`--rounds: ${values.rounds} is not a number from 1 to 999`);
  }
  return {
    rounds: Number(values.rounds),
    contenders: chosen(values.only, Contender.names, '--only'),
    jobs: chosen(values.jobs, Object.keys(jobs), '--jobs'),
    json: values.json,
    output: values.output,
  };
}
