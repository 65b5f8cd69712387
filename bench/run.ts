import { join } from 'node:path';
import { measure, peersOf } from './measure.ts';
import { readOptions, WrongUse, type Options } from './options.ts';
import { peer } from './peers/index.ts';
import { removeFolder, temporaryFolder } from './peers/leftovers.ts';
import { profiled } from './profile.ts';
import { writeHeadline } from './report/headline.ts';
import { commit, machine, versions } from './report/machine.ts';
import { writePage } from './report/page.ts';
import { readResults, writeResults, type Outcome, type Row } from './report/results.ts';
import { asText, tables } from './report/table.ts';
import { asSentence, verdicts } from './report/verdict.ts';
import { scenarios } from './scenarios/index.ts';
import { peers, SUBJECT } from './scenarios/names.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { isSound } from './scenarios/session.ts';

/** `npm run bench`: measures what was named, prints it, keeps it, and makes the page from everything that is kept. */

/** Not cleaned away: in the folder of the packages, where nothing is committed. */
const PROFILES = join(import.meta.dirname, 'node_modules/.cache/profiles');

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function progress(text: string): void {
  process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`);
}

async function run(options: Options): Promise<boolean> {
  const chosen = scenarios.filter((one) => options.names.length > 0 ? options.names.includes(one.name) : one.onDemand !== true);
  const command = ['npm run bench', ...process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : []].join(' ');
  const scratch = temporaryFolder();
  let sound = true;
  try {
    for (const scenario of chosen) {
      if (options.profile) {
        await profile(scenario, options, scratch);
        continue;
      }
      const outcome = await outcomeOf(scenario, options, command, scratch);
      show(scenario, outcome.rows);
      sound &&= isServiceSound(outcome.rows);
      // After each, so that a run that is ended early keeps what it has.
      if (options.write) await writeResults({ ...await readResults(), [scenario.name]: outcome });
    }
  } finally {
    removeFolder(scratch);
  }
  if (options.write) await writeDocuments();
  return sound;
}

/** Each case once, each with profiles of its own. They stay, for a tool that draws them. */
async function profile(scenario: Scenario, { rounds, quick }: Options, scratch: string): Promise<void> {
  for (const [index, one] of scenario.cases.entries()) {
    const folder = join(PROFILES, `${scenario.name}-${index + 1}`);
    removeFolder(folder);
    const subject = profiled(peer(SUBJECT), folder);
    const rows = await measure({ ...scenario, cases: [one] }, { peers: [subject], all: true, rounds, quick, scratch, say: progress });
    show({ ...scenario, cases: [one], targets: [] }, rows);
    print(`\n${subject.report()}\n\nThe profiles are in ${folder}`);
  }
}

async function writeDocuments(): Promise<void> {
  const results = await readResults();
  await writePage(results);
  await writeHeadline(results);
}

async function outcomeOf(scenario: Scenario, options: Options, command: string, scratch: string): Promise<Outcome> {
  const { all, rounds, quick } = options;
  const begun = Date.now();
  const used = new Set(scenario.cases.flatMap((one) => peersOf(scenario, one, { peers, all })));
  const about = { date: new Date(begun).toISOString(), command, commit: await commit(), machine: machine(), versions: await versions(used) };
  const rows = await measure(scenario, { peers, all, rounds: scenario.rounds ?? rounds, quick, scratch, say: progress });
  return { ...about, how: scenario.how, seconds: Math.round((Date.now() - begun) / 1000), rows };
}

function show(scenario: Scenario, rows: readonly Row[]): void {
  print(`\n${scenario.title} (${scenario.name})\n`);
  for (const table of tables(scenario, rows)) print(`${asText(table)}\n`);
  for (const verdict of verdicts(scenario, rows)) print(asSentence(verdict));
}

/** Of the service itself. What its peers lose is a figure in the table. */
function isServiceSound(rows: readonly Row[]): boolean {
  return rows.filter((row) => row.peer === SUBJECT).every((row) => row.failed === undefined
    && row.rounds.every(({ faults }) => isSound(faults)));
}

try {
  const options = readOptions(process.argv.slice(2), scenarios.map(({ name }) => name));
  if (options.reportOnly) await writeDocuments();
  else if (!await run(options)) {
    print('\nMessages were lost, doubled or out of order, or the service failed: see the tables.');
    process.exitCode = 1;
  }
} catch (error) {
  if (!(error instanceof WrongUse)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
