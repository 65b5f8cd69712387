/**
 * Records what the clients of a broken service saw: `node test/chaos/record.ts [name]`, for one of `BREAKAGES` or all. What is
 * recorded is what `checker.test.ts` shows the checker; it is done again only when a recording has to change.
 */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { check, summarise } from '../support/checker.ts';
import { tempFolder } from '../support/temp.ts';
import { BREAKAGES, type Breakage } from './breakages.ts';
import { chaos } from './chaos.ts';
import { save } from './recording.ts';
import { Teardowns } from './teardowns.ts';

const ROOT = join(import.meta.dirname, '../..');
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
        seed, store: 'sqlite', entry: broken(scope, breakage), streams: STREAMS, publishers: 4, longest: LONGEST, recovery: 10_000,
        more: (faults) => faults.length < FAULTS, say: () => undefined,
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
  const folder = tempFolder(scope);
  for (const part of ['src', 'migrations', 'package.json']) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const path = join(folder, 'src', file);
  let text = readFileSync(path, 'utf8');
  for (const [from, to] of Object.entries(instead)) {
    if (!text.includes(from)) throw new Error(`${file} has no ${JSON.stringify(from)} any more`);
    text = text.replace(from, to);
  }
  writeFileSync(path, text);
  return join(folder, 'src/main.ts');
}
