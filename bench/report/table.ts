import type { Case, Figure, Round, Scenario } from '../scenarios/scenario.ts';
import type { Row } from './results.ts';
import { spread } from './statistics.ts';

/** The rows of a scenario as cells of text, for the terminal and for the page alike. */

/** Above this share of a core, the load process may have been what limited the figure. */
export const LIMITED_BY_LOAD = 0.9;
export const LIMITED_MARK = '†';
/** Above this share of a core, something else in the machine may have disturbed the figure. */
export const DISTURBED_BY_OTHERS = 0.15;
export const DISTURBED_MARK = '‡';

export interface Table {
  readonly heading: string | undefined;
  readonly head: readonly string[];
  readonly body: readonly (readonly string[])[];
}

/** One for each heading that the scenario's cases have, in their order. */
export function tables(scenario: Scenario, rows: readonly Row[]): Table[] {
  return [...Map.groupBy(scenario.cases, (one) => one.table)].flatMap(([heading, cases]) => {
    const measured = rows.filter((row) => cases.some((one) => one.title === row.case));
    return measured.length === 0 ? [] : [table(heading, cases, scenario.figures, measured)];
  });
}

function table(heading: string | undefined, cases: readonly Case[], figures: readonly Figure[], rows: readonly Row[]): Table {
  const filled = figures.filter((figure) => rows.some((row) => row.rounds.some((round) => figure.key in round.figures)));
  const ordered = cases.flatMap((one) => rows.filter((row) => row.case === one.title));
  return {
    heading,
    head: ['', 'server', ...filled.map((figure) => figure.title), 'lost / doubled / out of order', 'load tool, of a core', 'anything else'],
    body: ordered.map((row) => {
      if (row.rounds.length === 0) return [row.case, row.peer, ...filled.map(() => ''), row.missing ?? row.failed ?? '', '', ''];
      const marks = [
        ...median(row.rounds, (round) => round.busy) > LIMITED_BY_LOAD ? [LIMITED_MARK] : [],
        ...median(row.rounds, (round) => round.others ?? 0) > DISTURBED_BY_OTHERS ? [DISTURBED_MARK] : [],
      ];
      return [
        row.case, row.peer, ...filled.map((figure) => marked(cell(row.rounds, figure), marks)),
        row.failed === undefined ? faults(row.rounds) : `${faults(row.rounds)}; ${row.failed}`,
        row.rounds.every((round) => round.busy === 0) ? '' : marked(percent(row.rounds, (round) => round.busy), marks),
        row.rounds.every((round) => round.others === undefined) ? '' : percent(row.rounds, (round) => round.others ?? 0),
      ];
    }),
  };
}

function marked(text: string, marks: readonly string[]): string {
  return text === '' ? text : [text, ...marks].join(' ');
}

function cell(rounds: readonly Round[], figure: Figure): string {
  const values = rounds.map((round) => round.figures[figure.key]).filter((value) => value !== undefined);
  if (values.length === 0) return '';
  return range(values, figure.digits);
}

/** "7.1 (7.0–7.3)": the median, and the least and the most. */
export function range(values: readonly number[], digits: number): string {
  const { median: middle, min, max } = spread(values);
  if (values.length === 1 || decimal(min, digits) === decimal(max, digits)) return decimal(middle, digits);
  return `${decimal(middle, digits)} (${decimal(min, digits)}–${decimal(max, digits)})`;
}

export function decimal(value: number, digits: number): string {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** The worst of all rounds, not their median: one lost message is one too many. */
function faults(rounds: readonly Round[]): string {
  const worst = (of: (round: Round) => number) => Math.max(...rounds.map(of));
  const refused = worst((round) => round.faults.refused);
  const ended = worst((round) => round.faults.ended);
  const told = [worst((round) => round.faults.lost), worst((round) => round.faults.doubled), worst((round) => round.faults.reordered)];
  const more = [[refused, 'publishes refused'], [ended, 'streams ended or told of a gap']] as const;
  return [told.map((count) => decimal(count, 0)).join(' / '), ...more.flatMap(([count, what]) => count > 0 ? [`${decimal(count, 0)} ${what}`] : [])].join('; ');
}

function median(rounds: readonly Round[], of: (round: Round) => number): number {
  return spread(rounds.map(of)).median;
}

function percent(rounds: readonly Round[], of: (round: Round) => number): string {
  return `${decimal(median(rounds, of) * 100, 0)} %`;
}

/** For the terminal: columns as wide as their widest cell, figures to the right. */
export function asText({ heading, head, body }: Table): string {
  const rows = [head, ...body];
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((text, column) => {
    const width = widths[column] ?? 0;
    return column < 2 ? text.padEnd(width) : text.padStart(width);
  }).join('  ').trimEnd());
  return [...heading === undefined ? [] : [heading], ...lines].join('\n');
}

export function asMarkdown({ heading, head, body }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;
  const align = `|${head.map((_, column) => column < 2 ? '---|' : '---:|').join('')}`;
  return [...heading === undefined ? [] : [`**${heading}**`, ''], line(head), align, ...body.map(line)].join('\n');
}
