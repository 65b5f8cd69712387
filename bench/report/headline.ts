import { readFile, writeFile } from 'node:fs/promises';
import { BARE_NET, NCHAN, SUBJECT } from '../scenarios/names.ts';
import { lookup, type Results } from './results.ts';
import { spread } from './statistics.ts';

/** The figures that matter most, as a sentence in the README, from what is kept. */

const README = new URL('../../README.md', import.meta.url);
const BEGIN = '<!-- Made by `npm run bench`. -->';
const END = '<!-- End of what is made. -->';

export async function writeHeadline(results: Results): Promise<void> {
  const before = await readFile(README, 'utf8');
  const after = withHeadline(before, headline(results));
  if (after !== before) await writeFile(README, after);
}

/** Puts a text between the two marks; without one, or without marks, nothing changes. */
export function withHeadline(readme: string, text: string | undefined): string {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END, begin);
  if (text === undefined || begin === -1 || end === -1) return readme;
  return `${readme.slice(0, begin + BEGIN.length)}\n${text}\n${readme.slice(end)}`;
}

/** Medians; undefined as long as one of them was not measured. */
export function headline(results: Results): string | undefined {
  const median = (scenario: string, title: string, peer: string, figure: string): number | undefined => {
    const outcome = results[scenario];
    const values = outcome === undefined ? [] : lookup(outcome.rows)(title, peer)?.flatMap(({ figures }) => figures[figure] ?? []) ?? [];
    return values.length === 0 ? undefined : spread(values).median;
  };
  const most = (peer: string): number | undefined => median('saturation', '10,000 streams', peer, 'deliveries');
  const cost = (peer: string): number | undefined => median('fanout', '10,000 streams, 5 messages a second', peer, 'cpu');
  const [ours, theirs, ourCost, bareCost] = [most(SUBJECT), most(NCHAN), cost(SUBJECT), cost(BARE_NET)];
  if (ours === undefined || theirs === undefined || ourCost === undefined || bareCost === undefined) return undefined;
  return `One process makes ${rounded(ours)} deliveries a second, over 10,000 streams, 99 of 100 within 250 ms (nginx with Nchan on the same machine: ${rounded(theirs)}). `
    + `Where each message is written by itself, a delivery costs ${ourCost.toFixed(1)} µs of CPU; a bare Node socket costs ${bareCost.toFixed(1)} µs there.`;
}

/** To two digits: more would be noise. */
function rounded(value: number): string {
  return Number(value.toPrecision(2)).toLocaleString('en');
}
