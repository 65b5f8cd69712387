/**
 * Records what the clients of a broken service saw: `node test/chaos/record.ts [name]`, for one of `BREAKAGES` or all. What is
 * recorded is what `checker.test.ts` shows the checker; it is done again only when a recording has to change.
 */
import { join } from 'node:path';
import { check, summarise } from '../support/checker.ts';
import { copyProgram, replaceIn } from '../support/program-copy.ts';
import { BREAKAGES, type Breakage } from './breakages.ts';
import { chaos } from './chaos.ts';
import { save } from './recording.ts';
import { Teardowns } from './teardowns.ts';

const HISTORIES = join(import.meta.dirname, 'histories');

/** Another run, when the mistake did not show: not every moment brings every mistake to light. */
const SEEDS = [1, 2, 3, 4, 5];
const FAULTS = 5;
const LONGEST = 1_500;
const STREAMS = 12;

const [wanted] = process.argv.slice(2);
for (const breakage of BREAKAGES.filter(({ name }) => wanted === undefined || name === wanted)) await record(breakage);

async function record(breakage: Breakage): Promise<void> {
  for (const seed of SEEDS) {
    const scope = new Teardowns();
    try {
      const { recording } = await chaos(scope, {
        seed, store: 'sqlite', entry: broken(scope, breakage), streams: STREAMS, publishers: 4, longest: LONGEST, recovery: 10_000, webhooks: breakage.webhooks ?? 0,
        ...(breakage.by === undefined ? {} : { kinds: [breakage.by] }), more: (faults) => faults.length < (breakage.by === undefined ? FAULTS : 1), say: () => undefined,
      });
      const found = check(recording);
      process.stdout.write(`${breakage.name}, seed ${seed}:\n${summarise(found).map((line) => `  ${line}\n`).join('')}`);
      if (!found.some(({ kind }) => kind === breakage.shows)) continue;
      save(join(HISTORIES, `${breakage.name}.json.gz`), recording);
      return;
    } finally {
      await scope.run();
    }
  }
  throw new Error(`${breakage.name} never showed`);
}

/** A copy of the service with the mistake in it: its entry point. */
function broken(scope: Teardowns, { file, instead }: Breakage): string {
  const folder = copyProgram(scope);
  for (const [from, to] of Object.entries(instead)) replaceIn(folder, file, from, to);
  return join(folder, 'src/main.ts');
}
