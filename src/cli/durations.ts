import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../log/history/since-time.ts';

/** Durations in options of all commands: `500ms`, `90s`, `10m`, `2h30m`, `90d`. A number without a unit is seconds. */

/** The longest timeout of a timer of Node.js. */
const TIMER_MAX_MS = 2 ** 31 - 1;
const DAY_SECONDS = 86_400;

/** Parses a duration above zero. Returns milliseconds. */
export function duration(text: string): number {
  const milliseconds = parse(text);
  if (milliseconds === undefined || milliseconds === 0 || milliseconds > TIMER_MAX_MS) throw new InvalidArgumentError('Write it as 500ms, 90s, 10m or 24h, up to 24d.');
  return milliseconds;
}

/** Parses a duration within bounds. The bounds are texts such as `100ms`, because the error shows them. */
export function durationWithin(least: string, most: string): (text: string) => number {
  const [min, max] = [parse(least)!, parse(most)!];
  return (text) => {
    const milliseconds = parse(text);
    if (milliseconds === undefined || milliseconds < min || milliseconds > max) throw new InvalidArgumentError(`Write it as 500ms, 90s or 10m, from ${least} to ${most}.`);
    return milliseconds;
  };
}

/**
 * Parses a duration in whole seconds, above zero. Checks the service's own bound here, so that the error names the option and not a member of the request.
 * @param most Seconds.
 */
export function wholeSeconds(most: number): (text: string) => number {
  return (text) => {
    const seconds = secondsIn(text);
    if (seconds === undefined || seconds === 0 || seconds > most) throw new InvalidArgumentError(`Write it in whole seconds: 90s, 10m, 12h, up to ${inDays(most)}.`);
    return seconds;
  };
}

/** As `wholeSeconds`, for an option that also takes a word. Returns the word, or the seconds as text. */
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

/** Returns milliseconds; undefined if the text is no duration. */
function parse(text: string): number | undefined {
  const [, seconds] = /^([0-9]+(?:\.[0-9]{1,3})?)s?$/.exec(text) ?? [];
  return seconds === undefined ? parseDuration(text) : Math.round(Number(seconds) * 1000);
}
