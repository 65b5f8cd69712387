import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import { readableLine } from '../../src/runtime/logging/readable-line.ts';
import { StoreError } from '../../src/store/store.ts';
import { recordingLogger } from '../support/logger.ts';

/** What is logged, and how people read it. */

interface Line {
  readonly level: string;
  readonly time: string;
  readonly err: Readonly<Record<string, unknown>>;
}

function logged(error: unknown): Line {
  const { logger, lines } = recordingLogger();
  logger.error({ err: error }, 'it failed');
  return JSON.parse(lines[0]!) as Line;
}

t.test('levels have names, and times are ISO 8601', (t) => {
  const { logger, lines } = recordingLogger();
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const) {
    logger[level]({ some: 1 }, 'a sentence');
    const line = JSON.parse(lines.pop()!) as Line;
    t.match(line, { level, some: 1, msg: 'a sentence' });
    t.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  }
  t.end();
});

t.test('a failure of the database is one line, without a stack', (t) => {
  t.strictSame(logged(new StoreError('unavailable', 'the disk is full', new Error('SQLITE_FULL'))).err, { type: 'StoreError', message: 'the disk is full' });
  t.end();
});

t.test('a mistake of the program has its stack, also as the cause of another failure', (t) => {
  t.match(logged(new TypeError('no such thing')).err, { type: 'TypeError', message: 'no such thing', stack: /^TypeError: no such thing\n +at / });
  const wrapped = new StoreError('unavailable', 'the database could not be used', new Error('half-way', { cause: new TypeError('no such thing') }));
  t.match(logged(wrapped).err, { message: 'the database could not be used', stack: /caused by: Error: half-way[^]*caused by: TypeError: no such thing\n +at / });
  t.end();
});

t.test('what a driver puts on its errors stays away from the log', (t) => {
  const error = Object.assign(new Error('refused'), { command: { name: 'auth', args: ['user', 'hunter2'] }, detail: 'Key (data)=(hunter2)', cause: Object.assign(new Error('why'), { password: 'hunter2' }) });
  t.notMatch(JSON.stringify(logged(error)), /hunter2/);
  t.same(Object.keys(logged(error).err), ['type', 'message', 'stack']);
  t.end();
});

t.test('a failure with several addresses says them all', (t) => {
  t.equal(logged(new AggregateError([new Error('connect ECONNREFUSED ::1:5432'), new Error('connect ECONNREFUSED 127.0.0.1:5432')])).err['message'], 'connect ECONNREFUSED ::1:5432; connect ECONNREFUSED 127.0.0.1:5432');
  t.end();
});

t.test('on a terminal a line is the time, the level, the sentence and the facts', (t) => {
  const read = (facts: object): string => stripVTControlCharacters(readableLine(JSON.stringify({ level: 'warn', time: '2026-11-22T10:15:30.123Z', pid: 1, hostname: 'h', ...facts })));
  const time = /^\d\d:\d\d:30\.123 WARN {2}/;
  t.match(read({ msg: 'the log is open', database: '/srv/a b.db', head: 7, isFull: false, list: [1] }), new RegExp(`${time.source}the log is open database="/srv/a b\\.db" head=7 isFull=false list=\\[1\\]\n$`));
  t.match(read({ msg: 'it failed', err: { type: 'StoreError', message: 'the disk is full' }, retryMs: 5 }), new RegExp(`${time.source}it failed: the disk is full retryMs=5\n$`));
  t.match(read({ msg: 'it failed', err: { type: 'Error', message: 'x', stack: 'Error: x\n    at here' } }), /it failed: x\n {4}Error: x\n {8}at here\n$/);
  t.end();
});

t.test('a terminal obeys nothing that somebody sent', (t) => {
  const line = readableLine(JSON.stringify({ level: 'info', time: '2026-11-22T10:15:30.123Z', msg: 'a\u001b[2J\nb', topic: '\u009b31m\u202e', err: { type: 'E', message: 'c\rd' } }));
  t.notMatch(stripVTControlCharacters(line).replace(/\n$/, ''), /[\p{Cc}\p{Cf}]/u);
  t.match(line, 'a\\u001b[2J\\u000ab: c\\u000dd');
  t.end();
});
