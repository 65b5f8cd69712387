import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../log/since-time.ts';

/** How long something lasts, as each option of each command takes it: `500ms`, `90s`, `10m`, `2h30m`, `90d`. A number alone is seconds. */

/** The longest that a timer can wait. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Parses a wait given as an option. Returns milliseconds. */
export function duration(text: string): number {
  const milliseconds = parse(text);
  if (milliseconds === undefined || milliseconds === 0 || milliseconds > TIMER_MAX_MS) throw new InvalidArgumentError('Write it as 500ms, 90s, 10m or 24h, up to 24d.');
  return milliseconds;
}

/** As `duration`, within bounds, which are written as the user sees them: `100ms`. */
export function durationWithin(least: string, most: string): (text: string) => number {
  const [min, max] = [parse(least)!, parse(most)!];
  return (text) => {
    const milliseconds = parse(text);
    if (milliseconds === undefined || milliseconds < min || milliseconds > max) throw new InvalidArgumentError(`Write it as 500ms, 90s or 10m, from ${least} to ${most}.`);
    return milliseconds;
  };
}

/** Parses an option that the service counts in whole seconds. */
export function wholeSeconds(text: string): number {
  const seconds = secondsIn(text);
  if (seconds === undefined || seconds === 0) throw new InvalidArgumentError('Write it in whole seconds: 90s, 10m, 12h or 90d.');
  return seconds;
}

/** As `wholeSeconds`, for an option that also takes a word. */
export function wholeSecondsOr(word: string): (text: string) => string {
  return (text) => {
    const seconds = secondsIn(text);
    if (text === word) return text;
    if (seconds === undefined) throw new InvalidArgumentError(`Write it in whole seconds, or ${word}.`);
    return String(seconds);
  };
}

function secondsIn(text: string): number | undefined {
  const milliseconds = parse(text);
  return milliseconds === undefined || milliseconds % 1000 !== 0 ? undefined : milliseconds / 1000;
}

/** Milliseconds; undefined where it is no duration. */
function parse(text: string): number | undefined {
  const [, seconds] = /^([0-9]+(?:\.[0-9]{1,3})?)s?$/.exec(text) ?? [];
  return seconds === undefined ? parseDuration(text) : Math.round(Number(seconds) * 1000);
}
