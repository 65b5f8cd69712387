import { parseArgs } from 'node:util';
import { searchInJobs } from './search-jobs.ts';
import { report, searchRange } from './search.ts';

const USAGE = `npm run simulate -- [options]: plays schedules from seeds, and stops at the first that breaks an invariant.

  --seeds N   how many; 1 without it
  --seed S    the first; 1 without it
  --jobs N    in how many threads; 1 without it
  --help      prints this; so does -h

It ends with 0 when every invariant held, with 1 when one did not, and with 2 when an option is wrong.
`;

const { values } = options();
if (values.help === true) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const first = wholeNumber('--seed', values.seed, 0);
const count = wholeNumber('--seeds', values.seeds, 1);
const jobs = wholeNumber('--jobs', values.jobs, 1);

const last = first + count - 1;
const failure = jobs === 1 ? await searchRange(first, last) : await searchInJobs(first, last, jobs);
if (failure !== undefined) {
  process.stdout.write(`${report(failure)}\nagain: npm run simulate -- --seed ${failure.seed}\n`);
  process.exit(1);
}
process.stdout.write(`${count} schedules, seeds ${first} to ${last}: every invariant held\n`);

function options() {
  try {
    return parseArgs({ options: { seeds: { type: 'string', default: '1' }, seed: { type: 'string', default: '1' }, jobs: { type: 'string', default: '1' }, help: { type: 'boolean', short: 'h' } } });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= least && text !== '' ? value : refuse(`${name}: ${JSON.stringify(text)} is no whole number from ${least} on`);
}

function refuse(why: string): never {
  process.stderr.write(`${why}\n\n${USAGE}`);
  process.exit(2);
}
