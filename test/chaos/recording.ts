import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Run, Stored } from '../support/checker.ts';
import type { BusName } from './fleet.ts';
import type { Fault } from './faults.ts';

/** A fault that was injected, by the clock that publishers and streams noted their times with. */
export interface Injected extends Fault {
  readonly began: number;
  /** When what it hurt was well again. */
  readonly ended: number;
}

/** Everything that publishers and clients wrote down in a run, and what was done to the service meanwhile. */
export interface Recording extends Run {
  readonly seed: number;
  readonly store: string;
  /** Of each instance, which then has no Redis; one where that is absent. */
  readonly workers?: number | undefined;
  readonly bus?: BusName | undefined;
  readonly history: readonly Stored[];
  readonly faults: readonly Injected[];
  /** From the first request to the last answer, milliseconds. */
  readonly duration: number;
}

export function save(file: string, recording: Recording): void {
  writeFileSync(file, gzipSync(JSON.stringify(recording), { level: 9 }));
}

export function load(file: string): Recording {
  return JSON.parse(gunzipSync(readFileSync(file)).toString()) as Recording;
}
