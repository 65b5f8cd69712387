/** What was asked for on the command line. */

export interface Options {
  /** Names of scenarios; none: those that are not on demand. */
  readonly names: readonly string[];
  readonly rounds: number;
  readonly all: boolean;
  readonly quick: boolean;
  /** Only the service under test runs, and where it spends its CPU time is told. */
  readonly profile: boolean;
  /** Whether results.json and the page are written. */
  readonly write: boolean;
  /** Nothing is measured; the page is made again from results.json. */
  readonly reportOnly: boolean;
}

/** Fewer have no median worth the name: such a run is printed and not kept. */
const LEAST_ROUNDS = 3;

export class WrongUse extends Error {}

const USAGE = `npm run bench -- [scenario …] [--all] [--rounds n] [--quick] [--profile] [--no-docs]
npm run bench -- --report

  --all       every server in every scenario, not only those that a target names
  --rounds n  default ${LEAST_ROUNDS} (1 if quick); with fewer, results.json and docs/performance.md are left as they are
  --quick     smaller numbers, to see that everything works; results.json and docs/performance.md are left as they are
  --profile   only Tidings, once, and the functions that use its CPU time, thread by thread; results.json and docs/performance.md are left as they are
  --no-docs   results.json and docs/performance.md are left as they are
  --report    only make docs/performance.md and its charts again from results.json`;

export function readOptions(words: readonly string[], known: readonly string[]): Options {
  const names: string[] = [];
  let rounds: number | undefined;
  let all = false;
  let quick = false;
  let profile = false;
  let docs = true;
  let reportOnly = false;
  const left = [...words];
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (word === '--all') all = true;
    else if (word === '--quick') quick = true;
    else if (word === '--profile') profile = true;
    else if (word === '--no-docs') docs = false;
    else if (word === '--report') reportOnly = true;
    else if (word === '--rounds') rounds = wholeNumber(left.shift());
    else if (known.includes(word)) names.push(word);
    else throw new WrongUse(`${word.startsWith('-') ? 'no such option' : 'no such scenario'}: ${word}\nscenarios: ${known.join(' ')}\n\n${USAGE}`);
  }
  const repeated = rounds ?? (quick || profile ? 1 : LEAST_ROUNDS);
  return { names, rounds: repeated, all, quick, profile, write: docs && !quick && !profile && repeated >= LEAST_ROUNDS, reportOnly };
}

function wholeNumber(word: string | undefined): number {
  const value = Number(word);
  if (!Number.isInteger(value) || value < 1) throw new WrongUse(`--rounds takes a whole number from 1\n\n${USAGE}`);
  return value;
}
