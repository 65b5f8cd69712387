import { parseArgs } from 'node:util';
import { report, search } from './search.ts';

/** `npm run simulate -- --seeds N [--seed S]`: the schedules of N seeds, from S on. Stops at the first that breaks an invariant, and says how. */

const { values } = parseArgs({ options: { seeds: { type: 'string' }, seed: { type: 'string', default: '1' } } });
const first = wholeNumber('--seed', values.seed);
const count = values.seeds === undefined ? 1 : wholeNumber('--seeds', values.seeds);

for (let seed = first; seed < first + count; seed++) {
  const failure = await search(seed);
  if (failure !== undefined) {
    process.stdout.write(`${report(failure)}\nagain: npm run simulate -- --seed ${seed}\n`);
    process.exit(1);
  }
}
process.stdout.write(`${count} schedules, seeds ${first} to ${first + count - 1}: every invariant held\n`);

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    process.stderr.write(`${name}: ${JSON.stringify(text)} is no whole number\n`);
    process.exit(2);
  }
  return value;
}
