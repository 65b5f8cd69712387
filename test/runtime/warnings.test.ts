import t from 'tap';
import { makeLogger } from '../../src/runtime/logging/logger.ts';
import { newestOf, Warnings, WARNINGS_MAX_BYTES } from '../../src/runtime/logging/warnings.ts';

/** What is kept of the lines that tell of something wrong, for whoever looks at an instance. */

function warned(level = 'info') {
  let now = Date.parse('2026-11-30T10:00:00Z');
  const warnings = new Warnings(() => now++);
  const lines: string[] = [];
  const logger = makeLogger({ level, isExpected: () => true, destination: { write: (line) => void lines.push(line) }, warnings });
  const sentences = (): string[] => warnings.newest.map(({ message }) => message);
  return { warnings, logger, lines, sentences };
}

t.test('warnings and errors are kept by their sentences, the newest first, and counted when they come again', async (t) => {
  const { warnings, logger, lines, sentences } = warned();
  logger.warn({ bytes: 7 }, 'retention waits');
  logger.error({ err: new Error('Key (data)=(hunter2)') }, 'it failed');
  logger.child({ request: '1' }).warn({}, 'retention waits');
  logger.info({ secret: 'hunter2' }, 'all is well');
  logger.fatal('it ends');
  t.strictSame(warnings.newest, [
    { level: 'fatal', message: 'it ends', time: '2026-11-30T10:00:00.003Z', first: '2026-11-30T10:00:00.003Z', count: 1 },
    { level: 'warn', message: 'retention waits', time: '2026-11-30T10:00:00.002Z', first: '2026-11-30T10:00:00.000Z', count: 2 },
    { level: 'error', message: 'it failed', time: '2026-11-30T10:00:00.001Z', first: '2026-11-30T10:00:00.001Z', count: 1 },
  ]);
  t.strictSame(warnings.counts, { warn: 2, error: 1, fatal: 1 });
  t.equal(lines.length, 5, 'the lines are written as before');
  t.match(lines[0], '"bytes":7');
  t.notOk(sentences().includes('all is well'));
});

t.test('what others sent is not kept: no facts, no text of an error, no audit line', async (t) => {
  const { warnings, logger } = warned();
  const error = new Error('hunter2');
  logger.error(error);
  logger.error({ err: error }, error.message);
  logger.error({ err: error, topic: 'hunter2' }, 'a request failed');
  logger.warn({ audit: 'keys-lost', key: 'hunter2' }, 'the database has lost hunter2');
  logger.warn({ reason: 'hunter2' });
  t.notMatch(JSON.stringify(warnings.newest), /hunter2/);
  t.equal(warnings.newest.length, 3);
});

t.test('a line that the level keeps out of the log is not kept either', async (t) => {
  const { logger, sentences } = warned('error');
  logger.warn({}, 'a warning');
  logger.error({}, 'an error');
  t.same(sentences(), ['an error']);
});

t.test('neither ever new sentences nor long ones take more than a bound, and a flood of one pushes out no other', async (t) => {
  const { warnings, logger, sentences } = warned();
  logger.warn({}, 'the one that matters');
  for (let count = 0; count < 10_000; count++) logger.warn({}, 'again and again');
  t.same(sentences(), ['again and again', 'the one that matters']);
  for (let count = 0; count < 1_000; count++) logger.warn({}, `${count} ${'\u{1F600}'.repeat(10_000)}`);
  t.ok(Buffer.byteLength(JSON.stringify(warnings.newest)) < WARNINGS_MAX_BYTES + 100);
  t.match(sentences()[0], /^999 /);
  for (let count = 0; count < 1_000; count++) logger.warn({}, `${count}`);
  t.equal(warnings.newest.length, 50);
});

t.test('two lists become one, the newest first, within the same bound', (t) => {
  const list = (...at: readonly number[]) => at.map((second) => ({ level: 'warn' as const, message: `at ${second}`, time: new Date(second * 1000).toISOString(), first: '', count: 1 }));
  t.same(newestOf(list(9, 4, 1), list(7, 4)).map(({ message }) => message), ['at 9', 'at 7', 'at 4', 'at 4', 'at 1']);
  const long = list(...Array.from({ length: 50 }, (_, index) => 50 - index)).map((warning) => ({ ...warning, message: 'x'.repeat(300) }));
  t.ok(Buffer.byteLength(JSON.stringify(newestOf(long, long))) < WARNINGS_MAX_BYTES + 100);
  t.end();
});
