import { t } from 'tap';
import { startFromRequest, type CursorParts } from '../../../src/http/input/last-event-id.ts';
import { parseQuery } from '../../../src/http/input/query-string.ts';
import type { StartRequest } from '../../../src/log/history/start-position.ts';
import { Problem } from '../../../src/model/problem.ts';

const ID = 'abcdefgh-7';
const position = { epoch: 'abcdefgh', seq: 7 };

function asked(query: string, header?: string): CursorParts {
  return { query: parseQuery(query), headers: header === undefined ? {} : { 'last-event-id': header } };
}

function problem(run: () => unknown): { code: string; field: string | undefined } | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { code: error.code, field: error.field };
  }
}

t.test('where a request begins', (t) => {
  const cases: readonly (readonly [query: string, header: string | undefined, start: StartRequest])[] = [
    ['', undefined, { kind: 'now' }],
    ['', '', { kind: 'now' }],
    ['', ID, { kind: 'after', position }],
    ['', 'start', { kind: 'start' }],
    ['', 'Start', { kind: 'unknown', otherwise: 'now' }],
    ['', `abcdefgh-6, ${ID}`, { kind: 'after', position }],
    ['', `${ID}, `, { kind: 'after', position }],
    ['', ', ', { kind: 'now' }],
    ['', 'abc\u00ff', { kind: 'unknown', otherwise: 'now' }],
    ['since=10m', 'null', { kind: 'ago', milliseconds: 600_000 }],
    [`lastEventId=${ID}`, 'null', { kind: 'after', position }],
    ['after=start', ID, { kind: 'after', position }],
    ['lastEventId=garbage', ID, { kind: 'after', position }],
    ['after=abcdefgh-9', '', { kind: 'after', position: { epoch: 'abcdefgh', seq: 9 } }],
    [`lastEventId=${ID}&after=start`, undefined, { kind: 'after', position }],
    [`after=${ID}&since=10m`, undefined, { kind: 'after', position }],
    [`lastEventId=&after=${ID}`, undefined, { kind: 'after', position }],
    ...['null', 'undefined', '0', '-1', '1700000000', '2026-11-22T10:15:30Z', '[object%20Object]'].map((value) => [`lastEventId=${value}`, undefined, { kind: 'unknown', otherwise: 'now' }] as const),
    ['lastEventId=x&after=start', undefined, { kind: 'start' }],
    [`lastEventId=abcdefgh-6&lastEventId=${ID}`, undefined, { kind: 'after', position }],
    [`lastEventId=${ID}&Last-Event-ID=`, undefined, { kind: 'after', position }],
    ...['lastEventID', 'lasteventid', 'LASTEVENTID', 'Last-Event-ID', 'Last-Event-Id', 'last-event-id', 'last_event_id', 'last%5Fevent%5Fid'].map((name) => [`${name}=${ID}`, undefined, { kind: 'after', position }] as const),
    ['after=&since=', undefined, { kind: 'now' }],
    ['after=start', undefined, { kind: 'start' }],
    ['lastEventId=start', undefined, { kind: 'start' }],
    ['last=20', undefined, { kind: 'last', count: 20 }],
    ['last=0', undefined, { kind: 'last', count: 0 }],
    ['last=1000&after=&since=', '', { kind: 'last', count: 1000 }],
    ['last=20', ID, { kind: 'after', position }],
    [`last=20&lastEventId=${ID}`, undefined, { kind: 'after', position }],
    ['last=20&lastEventId=start', undefined, { kind: 'start' }],
    ['last=20', 'null', { kind: 'last', count: 20 }],
    ['since=10m', undefined, { kind: 'ago', milliseconds: 600_000 }],
    ['since=1970-01-01T02:00:01+02:00', undefined, { kind: 'since', time: 1000 }],
    ['since=1970-01-01T02:00:01%2B02:00', undefined, { kind: 'since', time: 1000 }],
  ];
  for (const [query, header, start] of cases) t.same(startFromRequest(asked(query, header)), start, `${query} ${header}`);
  t.same(startFromRequest(asked(''), 'start'), { kind: 'start' });
  t.same(startFromRequest(asked('lastEventId=null'), 'start'), { kind: 'unknown', otherwise: 'start' });
  t.end();
});

t.test('a cursor in the query must be one', (t) => {
  for (const [query, field] of [
    ['after=x', 'after'], ['after=abcdefgh-07', 'after'],
    ['last=', 'last'], ['last=x', 'last'], ['last=1001', 'last'], ['last=-1', 'last'], ['last=1.0', 'last'], ['last=5&since=10m', 'last'], ['last=5&after=start', 'last'],
    ['since=x', 'since'], ['since=start', 'since'], ['since=10', 'since'],
  ] as const) t.same(problem(() => startFromRequest(asked(query))), { code: 'invalid-cursor', field }, query);
  t.end();
});
