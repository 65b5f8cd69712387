import { execFile } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { readOptions } from './options.ts';

const RUN = join(import.meta.dirname, 'run.ts');

interface Ended {
  readonly code: number | string | null | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [RUN, ...args], { env: { PATH: process.env['PATH'] } }, (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code, stdout, stderr }));
  });
}

t.test('--help prints how it is used, and starts nothing', async (t) => {
  const { code, stdout, stderr } = await run('--help');
  t.same([code, stderr], [0, '']);
  for (const option of ['--minutes', '--seed', '--store', '--bus', '--streams', '--websockets', '--publishers', '--webhooks', '--workers', '--history']) t.match(stdout, option);
});

t.test('a wrong option ends it at once: the first line names it, then comes how it is used, and no stack', async (t) => {
  const { code, stdout, stderr } = await run('--minutes', 'ten');
  t.same([code, stdout], [2, '']);
  t.match(stderr.split('\n')[0], /^--minutes: "ten" is no number/);
  t.match(stderr, /--seed S/);
  t.notMatch(stderr, /^ +at /m);
});

t.test('each option is checked', async (t) => {
  for (const [args, message] of [
    [['--minutes', '-1'], /--minutes/],
    [['--minutes=-1'], /--minutes: "-1"/],
    [['--minutes='], /--minutes: ""/],
    [['--seed', '1.5'], /--seed: "1.5" is no whole number/],
    [['--seed', '4294967296'], /--seed.*from 0 to 4294967295/],
    [['--streams', '0'], /--streams.*1 or more/],
    [['--websockets', '-1'], /--websockets/],
    [['--publishers', 'x'], /--publishers/],
    [['--webhooks', '1.5'], /--webhooks/],
    [['--workers', '65'], /--workers.*from 1 to 64/],
    [['--store', 'mysql'], /--store: "mysql" is none of sqlite, postgres/],
    [['--store'], /--store/],
    [['--bus', 'amqp'], /--bus: "amqp" is none of redis, nats, kafka/],
    [['--history='], /--history/],
    [['--sede', '4'], /--sede/],
    [['4'], /'4'/],
  ] as const) {
    t.throws(() => readOptions(args), { name: 'UsageError', message }, args.join(' '));
  }
  t.same(readOptions(['--minutes', '0.5', '--seed', '7', '--store', 'postgres', '--history', 'x']), { minutes: 0.5, seed: 7, store: 'postgres', bus: 'redis', streams: 300, websockets: undefined, publishers: 8, webhooks: 10, workers: 1, history: 'x' });
  t.equal(readOptions(['-h']), 'help');
});
