/** `npm run chaos -- --minutes 10 --seed 7 --store sqlite`: the service under faults, and what its clients saw. Exit code 1: something was wrong. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { check, summarise } from '../support/checker.ts';
import { chaos } from './chaos.ts';
import { STORES, type StoreName } from './fleet.ts';
import { save } from './recording.ts';
import { report } from './report.ts';
import { shortest } from './shortest.ts';
import { Teardowns } from './teardowns.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(randomInt(2 ** 32)) },
    store: { type: 'string', default: 'sqlite' },
    streams: { type: 'string', default: '300' },
    publishers: { type: 'string', default: '8' },
    /** Where what was written down goes; without it, only what was wrong is kept. */
    history: { type: 'string' },
  },
});

const scope = new Teardowns();

function say(line: string): void {
  process.stderr.write(`${new Date().toISOString()} ${line}\n`);
}

function number(name: 'minutes' | 'seed' | 'streams' | 'publishers'): number {
  const given = Number(values[name]);
  if (!(given >= 0) || (name !== 'minutes' && !Number.isSafeInteger(given))) throw new Error(`--${name}: ${values[name]} is not a number that makes sense there`);
  return given;
}

function storeName(): StoreName {
  const store = STORES.find((name) => name === values.store);
  if (store === undefined) throw new Error(`--store: ${values.store} is none of ${STORES.join(', ')}`);
  return store;
}

const seed = number('seed');
const store = storeName();
const end = Date.now() + number('minutes') * 60_000;
say(`seed ${seed}`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
try {
  const { recording, summary, skipped } = await chaos(scope, {
    seed, store, streams: number('streams'), publishers: number('publishers'), longest: Infinity, more: () => Date.now() < end, say,
  });
  say(summary);
  const faults = check(recording);
  if (values.history !== undefined) save(values.history, recording);
  process.stdout.write(report(recording, skipped));
  if (faults.length === 0) process.stdout.write('Nothing was lost, doubled, out of order, or stored twice.\n');
  else {
    const file = `chaos-${store}-${seed}.json.gz`;
    save(file, recording);
    process.stdout.write([`WRONG, with --seed ${seed} (all that was written down: ${file}):`, ...summarise(faults), '', 'The shortest part that shows the first:', shortest(recording, faults[0]!), ''].join('\n'));
    process.exitCode = 1;
  }
} finally {
  await scope.run();
}
