import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { t } from 'tap';
import { readConfig } from '../../src/config/config.ts';
import { parseToml } from './toml.ts';

/** The sum of docs/capacity.md ("Memory") against the defaults of the settings, and the machine of fly.toml. */

const root = join(import.meta.dirname, '../..');
const MIB = 1024 * 1024;

/** A worker takes more than one process alone: its part of the hub. */
const HUB_OF_WORKER_MIB = 10;

/** The kernel and its sockets need the rest of a machine. */
const PROCESS_SHARE = 0.8;

t.test('the default settings add up to what the documents say, and fit the machine of fly.toml', (t) => {
  const document = readFileSync(join(root, 'docs/capacity.md'), 'utf8');
  const section = document.split('\n## ').find((text) => text.startsWith('Memory\n'))!;
  const rows = [...section.matchAll(/^\| (.+?) \| (.*?) ?\| \**([0-9,]+)\** \|$/gm)].map(([, part, most, mib]) => ({ part: part!, most: most!.trim(), mib: Number(mib!.replace(',', '')) }));
  const total = rows.pop()!;
  t.equal(rows.length, 12);
  t.equal(rows.reduce((sum, { mib }) => sum + mib, 0), total.mib);

  const config = readConfig({}, { dotenv: false });
  const mib = (bytes: number): number => Math.round(bytes / MIB);
  const expected: readonly (readonly [beginning: string, mib: number])[] = [
    ['9 KiB for each of `MAX_STREAMS`', mib(9 * 1024 * config.MAX_STREAMS)],
    ['`FILTER_BYTES`', mib(config.FILTER_BYTES)],
    ['`UNREAD_BYTES`, and one message', mib(config.UNREAD_BYTES + config.MESSAGE_BYTES)],
    ['`TAIL_BYTES`', mib(config.TAIL_BYTES)],
    ['2 × `REQUEST_BYTES`', mib(2 * config.REQUEST_BYTES)],
    ['3 × (`BATCH_BYTES` and 4 MiB)', mib(3 * (config.BATCH_BYTES + 4 * MIB))],
    ['`APPEND_QUEUE_BYTES`', mib(config.APPEND_QUEUE_BYTES)],
    ['4 × `BATCH_BYTES`', mib(4 * config.BATCH_BYTES)],
    ['`ANSWER_BYTES`', mib(config.ANSWER_BYTES)],
    ['8 × (4 MiB and `MESSAGE_BYTES`)', mib(8 * (4 * MIB + config.MESSAGE_BYTES))],
  ];
  for (const [beginning, most] of expected) t.equal(rows.find((row) => row.most.startsWith(beginning))?.mib, most, beginning);

  // With several workers some rows are there for each of them.
  const own = rows.filter(({ part }) => /^(?:the process|garbage|batches while|two commits|eight reads)/.test(part));
  t.equal(own.length, 5);
  const each = own.reduce((sum, row) => sum + row.mib, 0);
  const [, for2, for4, for8, divided, ofWorker, ofSupervisor] = /^\| memory at most, MiB \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| (\d+) \+ (\d+) × workers \+ (\d+) for the supervisor;/m.exec(document)!.map((text) => Number(text.replace(',', '')));
  t.same([divided, ofWorker], [total.mib - each, each + HUB_OF_WORKER_MIB]);
  t.match(readFileSync(join(root, 'deploy/tidings.service'), 'utf8'), `${ofWorker} MiB for each core at most, ${divided} for all, and ${ofSupervisor} for the supervisor (docs/capacity.md)`);
  for (const [workers, most] of [[2, for2], [4, for4], [8, for8]] as const) {
    const forBatches = mib(Math.max(0, workers * config.BATCH_BYTES - config.APPEND_QUEUE_BYTES));
    t.ok(Math.abs(most! - (divided! + ofWorker! * workers + ofSupervisor! + forBatches)) < 10, `${workers} workers: ${most} MiB`);
  }

  const { vm } = parseToml(readFileSync(join(root, 'fly.toml'), 'utf8'));
  const machine: unknown = Array.isArray(vm) ? vm[0] : undefined;
  const memory = typeof machine === 'object' && machine !== null && 'memory' in machine ? String(machine.memory) : '';
  t.match(memory, /^[0-9]+gb$/);
  t.ok(total.mib < PROCESS_SHARE * 1024 * Number.parseInt(memory, 10), `${total.mib} MiB of ${memory}`);
  t.end();
});
