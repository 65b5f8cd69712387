import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A line of the Dockerfile. */
export interface Instruction {
  readonly name: string;
  readonly rest: string;
}

export const instructions: readonly Instruction[] = readFileSync(join(import.meta.dirname, '../../Dockerfile'), 'utf8').split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => ({ name: line.slice(0, line.indexOf(' ')), rest: line.slice(line.indexOf(' ') + 1) }));
/** Those of the image itself. */
export const last = instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM'));

/** What follows an instruction that the last stage has once. */
export function one(name: string): string {
  const found = last.filter((instruction) => instruction.name === name);
  if (found.length !== 1) throw new Error(`The last stage has ${found.length} times ${name}`);
  return found[0]!.rest;
}

/** What the image sets. */
export function environment(): Record<string, string> {
  return Object.fromEntries(one('ENV').split(' ').map((pair) => pair.split('=') as [string, string]));
}
