import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { charts } from '../scenarios/charts.ts';
import { scenarios } from '../scenarios/index.ts';
import { peers, SUBJECT } from '../scenarios/names.ts';
import type { Scenario } from '../scenarios/scenario.ts';
import { barChart } from './charts.ts';
import { lookup, type Outcome, type Results } from './results.ts';
import { asMarkdown, DISTURBED_BY_OTHERS, DISTURBED_MARK, LIMITED_BY_LOAD, LIMITED_MARK, range, tables } from './table.ts';
import { asSentence, verdicts } from './verdict.ts';

/** docs/performance.md and its charts: whole, from what is kept. Nothing is measured here. */

const DOCS = new URL('../../docs/', import.meta.url);
/** Written by hand: what a generated page cannot know. */
const NOTES = fileURLToPath(new URL('notes.md', import.meta.url));

export async function writePage(results: Results): Promise<void> {
  const drawn: string[] = [];
  for (const chart of charts) {
    const outcome = results[chart.scenario];
    const of = outcome === undefined ? undefined : lookup(outcome.rows);
    const bars = (outcome?.rows ?? []).filter((row) => row.case === chart.case).flatMap(({ peer }) => {
      const values = of?.(chart.case, peer)?.map((round) => round.figures[chart.figure]).filter((value) => value !== undefined) ?? [];
      return values.length === 0 ? [] : [{ name: peer, values, emphasised: peer === SUBJECT }];
    });
    if (bars.length === 0) continue;
    await writeFile(new URL(chart.file, DOCS), barChart(chart.title, chart.unit, chart.digits, bars));
    drawn.push(`![${chart.title}](${chart.file})`);
  }
  await writeFile(new URL('performance.md', DOCS), page(results, drawn, await notes()));
}

export function page(results: Results, drawn: readonly string[], handWritten: string | undefined): string {
  const measured = scenarios.flatMap((scenario) => {
    const outcome = results[scenario.name];
    return outcome === undefined ? [] : [{ scenario, outcome }];
  });
  const outcomes = measured.map(({ outcome }) => outcome);
  return [
    '<!-- Made by `npm run bench` from bench/results.json: change those, or bench/report/, not this page. -->',
    '# Performance',
    INTRODUCTION,
    '## Repeat it',
    repeat(),
    '## The servers',
    servers(outcomes),
    '## What was to be reached',
    reached(measured),
    ...drawn,
    ...measured.flatMap(({ scenario, outcome }) => section(scenario, outcome)),
    ...handWritten === undefined ? [] : ['## What the figures are made of and what was tried', handWritten.trim()],
    '## Machine and versions',
    made(measured),
    '## What to know before believing it',
    caveats(outcomes),
  ].join('\n\n').concat('\n');
}

const INTRODUCTION = `Tidings and other servers that push messages to many connections, measured side by side on one machine by \`npm run bench\`.
A load process of its own opens the streams, publishes on a fixed schedule (open loop: a publish that is late counts from when it was due, so that
a stall shows), reads every event, and checks for each stream that nothing is lost, doubled or out of order. The peers take turns, round after
round, each time with a fresh server. Figures are medians of the rounds; the least and the most are in brackets. CPU is the time of all processes
of the server, Redis included where it uses one, from \`/proc/<pid>/stat\`. "${LIMITED_MARK}" marks figures during which the load process used
more than ${LIMITED_BY_LOAD * 100} % of its core: they may be its limit and not the server's. "${DISTURBED_MARK}" marks figures during which something else in the machine used more than
${DISTURBED_BY_OTHERS * 100} % of a core.`;

function repeat(): string {
  const rows = scenarios.map((scenario) => `| \`npm run bench -- ${scenario.name}\` | ${scenario.title}${scenario.onDemand === true ? ' (only when named)' : ''} |`);
  // No comments in what is to be pasted: zsh takes them for arguments.
  return ['```sh', 'npm ci && npm run bench', '```', '', 'That is everything but what runs only when named:', '', '| command | what it measures |', '|---|---|', ...rows,
    '| `npm run bench -- fanout --all --rounds 5` | one of them, with every server that there is, in five rounds |', '',
    'It needs Linux, and takes what is installed: nginx with Nchan (`libnginx-mod-nchan`), `redis-server`, `postgresql`, `strace`. What is missing is named and left out.'].join('\n');
}

function servers(outcomes: readonly Outcome[]): string {
  const took = new Set(outcomes.flatMap(({ rows }) => rows.filter((row) => row.rounds.length > 0).map((row) => row.peer)));
  const rows = peers.filter((peer) => took.has(peer.name)).map((peer) => `| ${peer.name} | ${peer.durable ? 'yes' : 'no'} | ${peer.about ?? ''} |`);
  return ['| name | durable | what it is |', '|---|---|---|', ...rows].join('\n');
}

function reached(measured: readonly { scenario: Scenario; outcome: Outcome }[]): string {
  const lines = measured.flatMap(({ scenario, outcome }) => verdicts(scenario, outcome.rows).map((verdict) => ({ scenario, verdict })));
  lines.sort((a, b) => a.verdict.target.number - b.verdict.target.number);
  const cells = lines.map(({ scenario, verdict: { target, values, reached: is } }) => [
    String(target.number), target.says, `${target.wish === true ? 'tried for: ' : ''}at ${target.at} ${range([target.limit], target.digits)}${target.unit}`,
    values === undefined ? 'not measured' : `${range(values, target.digits)}${target.unit}`, is === undefined ? '' : is ? 'yes' : '**no**', `[${scenario.name}](#${anchor(scenario.title)})`,
  ]);
  return ['Ratios compare figures of the same run, round by round.', '',
    '| | what | was to be | is | reached | measured in |', '|---|---|---|---:|---|---|', ...cells.map((row) => `| ${row.join(' | ')} |`)].join('\n');
}

function section(scenario: Scenario, outcome: Outcome): string[] {
  const sentences = verdicts(scenario, outcome.rows).map((verdict) => `- ${asSentence(verdict)}`);
  return [
    `## ${scenario.title}`,
    outcome.how,
    ...tables(scenario, outcome.rows).map(asMarkdown),
    ...sentences.length > 0 ? [sentences.join('\n')] : [],
    ...scenario.caveats.length > 0 ? [scenario.caveats.map((caveat) => `- ${caveat}`).join('\n')] : [],
  ];
}

/** As GitHub makes it from a heading. */
function anchor(title: string): string {
  return title.toLowerCase().replaceAll(/[^\p{Letter}\p{Number} -]/gu, '').replaceAll(' ', '-');
}

function made(measured: readonly { scenario: Scenario; outcome: Outcome }[]): string {
  const machines = new Set(measured.map(({ outcome: { machine: { cpu, cores, memoryGiB, kernel } } }) => `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}`));
  const versions = new Map(measured.flatMap(({ outcome }) => Object.entries(outcome.versions)));
  const runs = measured.map(({ scenario, outcome: { date, commit, command, seconds, rows } }) =>
    `| ${scenario.name} | ${date.slice(0, 16).replace('T', ' ')} | ${commit} | \`${command}\` | ${Math.max(0, ...rows.map((row) => row.rounds.length))} | ${seconds} |`);
  return [
    ...[...machines].map((one) => `- ${one}`),
    `- ${[...versions].map(([name, version]) => `${name} ${version}`).join(', ')}`,
    '',
    '| scenario | begun (UTC) | commit | command | rounds | seconds |', '|---|---|---|---|---:|---:|', ...runs,
  ].join('\n');
}

function caveats(outcomes: readonly Outcome[]): string {
  const cores = Math.max(0, ...outcomes.map((outcome) => outcome.machine.cores));
  return [
    `- Server and load share one machine with ${cores} cores, and everything goes through the loopback: no network, no packet loss, no TLS. The receiving side of a loopback write is in part charged to the writer, for every server alike.`,
    '- Absolute figures vary with the machine and with what else runs on it; ratios of neighbouring rounds vary less. Every figure carries its range.',
    '- The peers do less: unless the table says so they store nothing durably and cannot replay what a client missed. Tidings stores every message on disk before it answers, in every scenario.',
    '- Peers run with the settings of their README or the fewest that the scenario needs, on one process unless said otherwise.',
    '- CPU time is counted in ticks of 10 ms.',
  ].join('\n');
}

async function notes(): Promise<string | undefined> {
  try {
    return await readFile(NOTES, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
