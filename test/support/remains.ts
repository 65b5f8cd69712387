import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import type { Instance } from './instance.ts';
import { until } from './until.ts';

/** What is left in the memory of an instance after a collection. */
export interface Remains {
  readonly objects: Readonly<Record<'Reader' | 'Group' | 'Socket' | 'Map' | 'Set', number>>;
  /** Timers, sockets and the like that keep it alive, by their kind. */
  readonly handles: Readonly<Record<string, number>>;
  /** Of the heap, and of what it holds outside of itself. */
  readonly bytes: number;
}

/** In the environment of an instance whose remains are asked for. */
export const PROBED = { NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'probe.ts')).href}` };

const LINE = /^remains (.*)\n/gm;

export async function remainsOf(instance: Instance): Promise<Remains> {
  const told = (): RegExpMatchArray[] => [...instance.output.matchAll(LINE)];
  const before = told().length;
  instance.kill('SIGWINCH');
  await until('it has told what is left', () => told().length > before);
  return JSON.parse(told().at(-1)![1]!) as Remains;
}

/** What there is more of than there was. Fewer are no leak: some may have been there for a moment only. */
function more(after: Remains, before: Remains): string[] {
  const had: Readonly<Record<string, number>> = { ...before.objects, ...before.handles };
  return Object.entries({ ...after.objects, ...after.handles }).filter(([kind, count]) => count > (had[kind] ?? 0)).map(([kind, count]) => `${kind}: ${had[kind] ?? 0} became ${count}`);
}

/** How often it is looked at what is left, when it is more than there may be. */
const LOOKS = 20;
/** How often the visits are repeated until nothing is left of them, and the memory stays as it is. */
const REPEATS = 4;

/**
 * Lets clients come and go, and answers with what is left of them. What is left for a moment only, such as the end of the last request, is gone at the
 * next look. An index may make a part of itself when it is first needed, and memory may change for a while because V8 optimises what runs and forgets what does not.
 * Both are over after a repetition. A leak is as large each time.
 *
 * @param slack How many bytes the memory may change by in one call of `visits`.
 */
export async function leftBy(instance: Instance, visits: () => Promise<void>, slack: number): Promise<{ readonly more: readonly string[]; readonly grown: number; readonly last: Remains }> {
  let before = await remainsOf(instance);
  for (let repeat = 1; ; repeat++) {
    await visits();
    let last = await remainsOf(instance);
    for (let look = 0; look < LOOKS && more(last, before).length > 0; look++) last = await remainsOf(instance);
    const left = more(last, before);
    const grown = last.bytes - before.bytes;
    if (repeat === REPEATS || (left.length === 0 && Math.abs(grown) < slack)) return { more: left, grown, last };
    before = last;
  }
}
