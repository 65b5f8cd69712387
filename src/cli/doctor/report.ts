import { styleText } from 'node:util';
import type { Diagnosis, Finding } from './diagnosis.ts';
import { TRIED, UNTRIED, type Mend, type Proxy } from './mends.ts';
import { quoted, type Level } from './verdict.ts';

/** Prints a diagnosis for people: one line for each check, and the lines that mend a fault below it. */

const SIGNS: Readonly<Record<Level, string>> = { good: '✓', warning: '!', wrong: '✗', unseen: '-' };
const COLOURS = { good: 'green', warning: 'yellow', wrong: 'red', unseen: 'gray' } as const;
/** The length of the longest name of a check. */
const NAME_CHARACTERS = 14;
const PROXY_CHARACTERS = 8;

/** @param stream The output: colors only for a terminal without NO_COLOR. */
export function report({ url, proxy, findings }: Diagnosis, stream: NodeJS.WriteStream): string {
  const count = (level: Level): number => findings.filter((finding) => finding.level === level).length;
  return [
    `${quoted(url)}${proxy === undefined ? '' : `, through ${proxy}`}`,
    ...findings.flatMap((finding) => shown(finding, proxy, stream)),
    `${count('wrong')} wrong, ${count('warning')} to look at, ${count('good')} good, ${count('unseen')} not seen`,
    '',
  ].join('\n');
}

function shown({ check, level, finding, mend }: Finding, proxy: Proxy | undefined, stream: NodeJS.WriteStream): string[] {
  const line = `${styleText(COLOURS[level], SIGNS[level], { stream })} ${check.padEnd(NAME_CHARACTERS)} ${finding}`;
  return mend === undefined ? [line] : [line, ...mendLines(mend, proxy).map((text) => `    ${text}`)];
}

/** The lines of the recognised proxy, or of all proxies where none was recognised. */
function mendLines(mend: Mend, proxy: Proxy | undefined): string[] {
  const isAsked = (one: Proxy): boolean => (proxy === undefined || one === proxy) && mend[one] !== undefined;
  const untried = UNTRIED.filter(isAsked).map((one) => `${one}: ${mend[one]!}`);
  return [
    ...(mend.Tidings === undefined ? [] : [`${'Tidings'.padEnd(PROXY_CHARACTERS)} ${mend.Tidings}`]),
    ...TRIED.filter(isAsked).map((one) => `${one.padEnd(PROXY_CHARACTERS)} ${mend[one]!}`),
    ...(untried.length === 0 ? [] : [`not tried: ${untried.join('; ')}`]),
  ];
}
