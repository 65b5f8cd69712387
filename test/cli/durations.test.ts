import { InvalidArgumentError } from 'commander';
import t from 'tap';
import { duration, durationWithin, wholeSeconds, wholeSecondsOr } from '../../src/cli/durations.ts';

const DAY = 86_400;

t.test('each option takes a duration in the same forms', (t) => {
  for (const [text, milliseconds] of [['500ms', 500], ['90s', 90_000], ['90', 90_000], ['2.5s', 2_500], ['2.5', 2_500], ['10m', 600_000], ['2h30m', 9_000_000], ['24d', 2_073_600_000]] as const) {
    t.equal(duration(text), milliseconds, text);
    t.equal(durationWithin('500ms', '24d')(text), milliseconds, text);
    if (milliseconds % 1000 === 0) t.strictSame([wholeSeconds(30 * DAY)(text), wholeSecondsOr('never', 30 * DAY)(text)], [milliseconds / 1000, String(milliseconds / 1000)], text);
  }
  t.equal(wholeSeconds(400 * DAY)('400d'), 34_560_000, 'no timer waits for that');
  t.equal(wholeSecondsOr('never', DAY)('never'), 'never');
  t.equal(durationWithin('0s', '10m')('0'), 0);
  t.end();
});

t.test('anything else is refused with the form, and with the bounds where there are some', (t) => {
  for (const [take, text, says] of [
    [duration, 'soon', /Write it as 500ms/], [duration, '0', /up to 24d/], [duration, '25d', /up to 24d/], [duration, '', /Write it/], [duration, '-1s', /Write it/], [duration, '1e3', /Write it/],
    [durationWithin('100ms', '2m'), '50ms', /from 100ms to 2m/], [durationWithin('100ms', '2m'), '121', /from 100ms to 2m/],
    [wholeSeconds(DAY), '1500ms', /whole seconds/], [wholeSeconds(DAY), '0', /whole seconds/], [wholeSeconds(DAY), 'never', /whole seconds/], [wholeSeconds(30 * DAY), '31d', /up to 30d/],
    [wholeSecondsOr('never', DAY), '1.5', /whole seconds, up to 1d, or never/], [wholeSecondsOr('never', DAY), '25h', /up to 1d, or never/], [wholeSecondsOr('never', DAY), '0', /whole seconds/],
  ] as const) t.throws(() => take(text), { constructor: InvalidArgumentError, message: says }, `'${text}'`);
  t.end();
});
