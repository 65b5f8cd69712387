import { styleText } from 'node:util';
import { printable } from '../runtime/logging/printable.ts';
import { FAILED_EXIT_CODE, say } from './outcome.ts';

/** Standard output, a line at a time. Its reader may leave: `tidings subscribe … | head -1` ends without an error. */

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  say(`standard output cannot be written (${error.code})`);
  process.exit(FAILED_EXIT_CODE);
});

/** Resolves once the line is handed to the system: a reader that is slow is waited for. */
export function print(line: string): Promise<void> {
  return new Promise((resolve) => {
    // An error goes to the listener above, and the process ends.
    process.stdout.write(`${line}\n`, (error) => {
      if (!(error instanceof Error)) resolve();
    });
  });
}

/** JSON on one line. Line breaks stand between its values only: inside a string they are escaped. On a terminal other characters that it would obey are, too. */
export function printJson(source: string): Promise<void> {
  const line = source.replace(/[\r\n]+/g, ' ');
  return print(process.stdout.isTTY ? printable(line) : line);
}

/** In color where standard output is a terminal and NO_COLOR is not set. */
export function colored(color: 'bold' | 'cyan' | 'dim' | 'yellow', text: string): string {
  return text === '' ? '' : styleText(color, text, { stream: process.stdout });
}

/** Lines with tabs between their cells; on a terminal, in columns. The first page of a list has headings. */
export async function printTable(headings: readonly string[] | undefined, rows: readonly (readonly string[])[]): Promise<void> {
  const all = headings === undefined ? rows : [headings, ...rows];
  const widths = all.reduce<number[]>((widest, row) => row.map((text, column) => Math.max(widest[column] ?? 0, text.length)), []);
  const lineOf = (row: readonly string[]): string => (process.stdout.isTTY ? row.map((text, column) => text.padEnd(widths[column]!)).join('  ').trimEnd() : row.join('\t'));
  if (headings !== undefined) await print(colored('bold', lineOf(headings)));
  for (const row of rows) await print(lineOf(row));
}

/** A value of an answer as a cell: without a tab, a line break, or what a terminal obeys. */
export function cell(value: unknown): string {
  if (value === undefined || value === null || value === '') return '-';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(cell).join(' ');
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}
