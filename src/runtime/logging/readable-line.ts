import { styleText } from 'node:util';
import type { ErrorFacts } from './error-facts.ts';
import { printable } from './printable.ts';

type Style = Parameters<typeof styleText>[0];

const LEVEL_STYLES: Readonly<Record<string, Style>> = { trace: 'dim', debug: 'dim', info: 'green', warn: 'yellow', error: 'red', fatal: 'red' };

/** Texts that need no quotes. */
const PLAIN = /^[\w./:@%+-]+$/;

interface Line {
  readonly level: string;
  readonly time: string;
  readonly msg?: string;
  readonly err?: ErrorFacts;
}

/** Turns a JSON line of the logger into a readable line: `10:31:02.481 WARN the sentence retryMs=1000`. Leaves out the process id and the host. */
export function readableLine(json: string): string {
  const { level, time, msg = '', err, pid: _pid, hostname: _hostname, ...facts } = JSON.parse(json) as Line & Readonly<Record<string, unknown>>;
  const sentence = err === undefined ? msg : `${msg}: ${err.message}`;
  const words = [
    styleText('dim', clockTime(new Date(time))),
    styleText(LEVEL_STYLES[level] ?? 'reset', level.toUpperCase().padEnd(5)),
    printable(sentence),
    ...Object.entries(facts).map(([name, value]) => styleText('dim', `${name}=${valueText(value)}`)),
  ];
  const stack = err?.stack?.split('\n').map((line) => `    ${printable(line)}\n`) ?? [];
  return `${words.join(' ')}\n${stack.join('')}`;
}

/** The local time of day. */
function clockTime(time: Date): string {
  const [hours, minutes, seconds] = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, '0'));
  return `${hours}:${minutes}:${seconds}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

function valueText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return printable(PLAIN.test(text) || typeof value !== 'string' ? text : JSON.stringify(text));
}
