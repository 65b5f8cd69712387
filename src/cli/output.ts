import { styleText } from 'node:util';
import { printable } from '../runtime/logging/printable.ts';
import { FAILED_EXIT_CODE, say } from './outcome.ts';

/** Standard output, line by line. If its reader leaves, the command ends without an error: `tidings subscribe … | head -1`. */

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  say(`standard output cannot be written (${error.code})`);
  process.exit(FAILED_EXIT_CODE);
});

/** Resolves once the system has taken the line: waits for a slow reader (backpressure). */
export function print(line: string): Promise<void> {
  return new Promise((resolve) => {
    // On an error the listener above ends the process.
    process.stdout.write(`${line}\n`, (error) => {
      if (!(error instanceof Error)) resolve();
    });
  });
}

/** Prints JSON on one line. Its line breaks are only between values, because strings escape them. For a terminal, control characters are escaped, too. */
export function printJson(source: string): Promise<void> {
  const line = source.replace(/[\r\n]+/g, ' ');
  return print(process.stdout.isTTY ? printable(line) : line);
}

/** Adds color if standard output is a terminal and NO_COLOR is not set. */
export function colored(color: 'bold' | 'cyan' | 'dim' | 'yellow', text: string): string {
  return text === '' ? '' : styleText(color, text, { stream: process.stdout });
}

/** Prints rows with tabs between cells; on a terminal, aligned in columns. Give headings with the first page of a list only. */
export async function printTable(headings: readonly string[] | undefined, rows: readonly (readonly string[])[]): Promise<void> {
  const all = headings === undefined ? rows : [headings, ...rows];
  const widths = all.reduce<number[]>((widest, row) => row.map((text, column) => Math.max(widest[column] ?? 0, text.length)), []);
  const lineOf = (row: readonly string[]): string => (process.stdout.isTTY ? row.map((text, column) => text.padEnd(widths[column]!)).join('  ').trimEnd() : row.join('\t'));
  if (headings !== undefined) await print(colored('bold', lineOf(headings)));
  for (const row of rows) await print(lineOf(row));
}

/** A value as the text of a cell, without tabs, line breaks and control characters. */
export function cell(value: unknown): string {
  if (value === undefined || value === null || value === '') return '-';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(cell).join(' ');
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}
