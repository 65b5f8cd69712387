import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { killGroup } from './group.ts';

/**
 * A process that outlives the benchmark by a moment. It is told, one line each, what was started and what has ended:
 * `group <id>`, `folder <path>`, and `over ` before either. Its standard input ends when the benchmark ends, however
 * that came about, SIGKILL and a crash of Node included; what is left then is ended and removed.
 */
const left = new Set<string>();

for await (const line of createInterface({ input: process.stdin })) {
  if (line.startsWith('over ')) left.delete(line.slice('over '.length));
  else left.add(line);
}
for (const thing of left) {
  if (thing.startsWith('group ')) killGroup(Number(thing.slice('group '.length)), 'SIGKILL');
}
for (const thing of left) {
  // What was killed may still be about to write its last file.
  if (thing.startsWith('folder ')) rmSync(thing.slice('folder '.length), { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}
