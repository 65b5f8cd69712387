import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../log/history/since-time.ts';

/** How long something lasts, as each option of each command takes it: `500ms`, `90s`, `10m`, `2h30m`, `90d`. A number alone is seconds. */

/** The longest that a timer can wait. */
const TIMER_MAX_MS = 2 ** 31 - 1;
const DAY_SECONDS = 86_400;

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

/**
 * Of an option, in seconds, for times that the service counts in seconds. The bound is checked here, so that the error names the option and not the member of a request.
 * @param most In seconds.
 */
export function wholeSeconds(most: number): (text: string) => number {
  return (text) => {
    const seconds = secondsIn(text);
    if (seconds === undefined || seconds === 0 || seconds > most) throw new InvalidArgumentError(`Write it in whole seconds: 90s, 10m, 12h, up to ${inDays(most)}.`);
    return seconds;
  };
}

/** The same, of an option that takes a word, too. */
export function wholeSecondsOr(word: string, most: number): (text: string) => string {
  return (text) => {
    if (text === word) return text;
    const seconds = secondsIn(text);
    if (seconds === undefined || seconds === 0 || seconds > most) throw new InvalidArgumentError(`Write it in whole seconds, up to ${inDays(most)}, or ${word}.`);
    return String(seconds);
  };
}

function inDays(seconds: number): string {
  return `${seconds / DAY_SECONDS}d`;
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
