import fc from 'fast-check';
import { t } from 'tap';
import { parseDuration, parseSince } from '../../src/log/history/since-time.ts';
import { parseTime } from '../../src/model/rfc3339.ts';

t.test('durations', (t) => {
  for (const [text, milliseconds] of [
    ['500ms', 500], ['90s', 90_000], ['10m', 600_000], ['2h30m', 9_000_000], ['7d', 604_800_000], ['0s', 0], ['1d1h1m1s1ms', 90_061_001], ['1m1ms', 60_001], ['007s', 7000],
  ] as const) t.equal(parseDuration(text), milliseconds, text);
  for (const text of ['', '10', 'm', '-1m', '+1m', '1.5h', '1 m', '1M', '1w', '1y', '10m ', 'P1D', '1e3s', '10mm', '99999999999999999999d', 'Infinitys']) t.equal(parseDuration(text), undefined, text);
  t.end();
});

t.test('a duration is the sum of its parts', (t) => {
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
  const part = fc.tuple(fc.nat(9999), fc.constantFrom(...Object.keys(units) as (keyof typeof units)[]));
  fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (parts) => {
    const sum = parts.reduce((total, [count, unit]) => total + count * units[unit], 0);
    return parseDuration(parts.map(([count, unit]) => `${count}${unit}`).join('')) === sum;
  }));
  t.end();
});

t.test('times of RFC 3339', (t) => {
  const time = Date.UTC(2026, 10, 22, 10, 15, 30);
  for (const [text, expected] of [
    ['2026-11-22T10:15:30Z', time], ['2026-11-22t10:15:30z', time], ['2026-11-22 10:15:30Z', time],
    ['2026-11-22T12:15:30+02:00', time], ['2026-11-22T12:15:30 02:00', time], ['2026-11-22T05:45:30-04:30', time],
    ['2026-11-22T10:15:30.5Z', time + 500], ['2026-11-22T10:15:30.123456789Z', time + 123], ['2026-11-22T10:15:30.001+00:00', time + 1],
    ['2016-12-31T23:59:60Z', Date.UTC(2017, 0, 1)], ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)], ['1969-12-31T23:59:59Z', -1000],
  ] as const) t.equal(parseTime(text), expected, text);
  for (const text of [
    '2026-11-22', '2026-11-22T10:15:30', '2026-11-22T10:15Z', '2026-02-30T00:00:00Z', '2025-02-29T00:00:00Z', '2026-13-01T00:00:00Z', '2026-00-01T00:00:00Z', '2026-11-22T24:00:00Z',
    '2026-11-22T10:60:00Z', '2026-11-22T10:15:61Z', '2026-11-22T10:15:30.Z', '2026-11-22T10:15:30+24:00', '2026-11-22T10:15:30+0200', '2026-11-22T10:15:30Z ', '1700000000', '22 Nov 2026', '+02026-11-22T10:15:30Z',
  ]) t.equal(parseTime(text), undefined, text);
  t.end();
});

t.test('every time of a clock is read back, at any offset', (t) => {
  fc.assert(fc.property(fc.date({ min: new Date('0001-01-02T00:00:00Z'), max: new Date('9998-12-30T00:00:00Z'), noInvalidDate: true }), fc.integer({ min: -1439, max: 1439 }), (date, minutes) => {
    const local = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, -1);
    const offset = Math.abs(minutes);
    const zone = `${minutes < 0 ? '-' : '+'}${String(Math.trunc(offset / 60)).padStart(2, '0')}:${String(offset % 60).padStart(2, '0')}`;
    return parseTime(local + zone) === date.getTime();
  }));
  t.end();
});

t.test('a start is a duration ago, or at a time', (t) => {
  t.same(parseSince('10m'), { kind: 'ago', milliseconds: 600_000 });
  t.same(parseSince('1970-01-01T00:00:01Z'), { kind: 'since', time: 1000 });
  t.equal(parseSince('yesterday'), undefined);
  t.end();
});
