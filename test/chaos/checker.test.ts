import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { check } from '../support/checker.ts';
import { BREAKAGES } from './breakages.ts';
import { load } from './recording.ts';
import { reduce, shortest } from './shortest.ts';

/** A part that shows a fault is one that a person can read. */
const FEW = 4;

t.test('every deliberate mistake still has its place in src', async (t) => {
  for (const { name, file, instead } of BREAKAGES) {
    const source = readFileSync(join(import.meta.dirname, '../../src', file), 'utf8');
    for (const text of Object.keys(instead)) t.ok(source.includes(text), `${name}: src/${file} has ${JSON.stringify(text)}; change test/chaos/breakages.ts with it`);
  }
});

t.test('the checker names the faults in the histories of services that were broken on purpose', async (t) => {
  for (const { name, what, shows, follows } of BREAKAGES) {
    await t.test(`${name}: ${what}`, async (t) => {
      const recording = load(join(import.meta.dirname, 'histories', `${name}.json.gz`));
      const found = check(recording);
      const kinds = new Set(found.map(({ kind }) => kind));
      t.ok(kinds.has(shows), `found ${[...kinds].join(', ')}`);
      t.same([...kinds].filter((kind) => kind !== shows && !follows.includes(kind)), [], 'and nothing that does not follow from it');

      const fault = found.find(({ kind }) => kind === shows)!;
      const part = reduce(recording, fault);
      const { publications, streams, history = [] } = part;
      t.ok(publications.length <= FEW && streams.length <= 1 && history.length <= FEW, `${publications.length} publications, ${history.length} of the history`);
      t.match(check(part).filter(({ kind }) => kind === shows).map(({ who }) => who), [fault.who], 'the shortest part shows the same');
      t.match(shortest(recording, fault), /^(published|stream|the history)/);
    });
  }
});
