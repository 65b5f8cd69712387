/** `npm run chaos -- --minutes 10 --seed 7 --store sqlite`: the service under faults, and what its clients saw. */
import { check, summarise } from '../support/checker.ts';
import { chaos } from './chaos.ts';
import { KEEP } from './clocks.ts';
import { readOptions, USAGE, UsageError, type RunOptions } from './options.ts';
import { save } from './recording.ts';
import { report } from './report.ts';
import { shortest } from './shortest.ts';
import { Teardowns } from './teardowns.ts';

const MINUTE = 60_000;
/** Nothing may be too old before a run is over, however late that is and however far its clocks are stepped, but by hours. Minutes. */
const SLACK = 60;

function say(line: string): void {
  process.stderr.write(`${new Date().toISOString()} ${line}\n`);
}

function options(): RunOptions | 'help' | undefined {
  try {
    return readOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return undefined;
  }
}

async function run({ minutes, seed, store, bus, streams, websockets, publishers, webhooks, workers, history }: RunOptions): Promise<void> {
  const scope = new Teardowns();
  say(`seed ${seed}`);
  const end = performance.now() + minutes * MINUTE;
  try {
    const { recording, summary, skipped } = await chaos(scope, {
      seed, store, bus, streams, websockets, publishers, webhooks, workers, keep: Math.max(KEEP, Math.ceil(minutes + SLACK) * 60), longest: Infinity, more: () => performance.now() < end, say,
    });
    say(summary);
    const faults = check(recording);
    if (history !== undefined) save(history, recording);
    process.stdout.write(report(recording, skipped));
    if (faults.length === 0) process.stdout.write(`Nothing ${recording.losses?.length === 0 ? '' : 'else '}was lost, doubled, out of order, or stored twice.\n`);
    else {
      const file = `chaos-${store}-${seed}.json.gz`;
      save(file, recording);
      process.stdout.write([`WRONG, with --seed ${seed} (all that was written down: ${file}):`, ...summarise(faults), '', 'The shortest part that shows the first:', shortest(recording, faults[0]!), ''].join('\n'));
      process.exitCode = 1;
    }
  } finally {
    await scope.run();
  }
}

const asked = options();
if (asked === 'help') process.stdout.write(USAGE);
else if (asked === undefined) process.exitCode = 2;
else {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  await run(asked);
}
