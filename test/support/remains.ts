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
export function more(after: Remains, before: Remains): string[] {
  const had: Readonly<Record<string, number>> = { ...before.objects, ...before.handles };
  return Object.entries({ ...after.objects, ...after.handles }).filter(([kind, count]) => count > (had[kind] ?? 0)).map(([kind, count]) => `${kind}: ${had[kind] ?? 0} became ${count}`);
}
