import { LineWindow } from './line-window.ts';
import type { Logger } from './logger.ts';
import { printable } from './printable.ts';

/** The most text of one line. Stops a server whose text a library prints from filling the log. */
const CONSOLE_TEXT_MAX_CHARACTERS = 200;

const METHODS = ['debug', 'error', 'info', 'log', 'trace', 'warn'] as const;

/**
 * Replaces the console's methods. Some libraries write to the console, for example the client of NATS if a server sends garbage. Programs that read this process's log
 * expect JSON. So a few of those lines become warnings of the logger, cut short.
 */
export function takeConsole(output: Pick<Console, typeof METHODS[number]>, logger: Pick<Logger, 'warn'>): void {
  const window = new LineWindow();
  const take = (...parts: readonly unknown[]): void => {
    const text = printable(parts.map(textOf).join(' ').slice(0, CONSOLE_TEXT_MAX_CHARACTERS));
    const omitted = window.admit(text);
    if (omitted !== undefined) logger.warn({ text, ...(omitted === 0 ? {} : { omitted }) }, 'a library wrote to the console');
  };
  for (const method of METHODS) output[method] = take;
}

function textOf(part: unknown): string {
  return typeof part === 'string' ? part : part instanceof Error ? part.message : typeof part;
}
