import type { Form, NamedForm } from '../../delivery/frames/sse.ts';
import type { Query } from './query-string.ts';

/** Parameters that switch something off with `0`: control events, the names of events, and patterns. */
export type Switch = 'control' | 'names' | 'pattern';

/** Two that switch something on, with `1`. */
const PRESENCE = 'presence';
const REPORT = 'report';

const SWITCHES: readonly Switch[] = ['control', 'names', 'pattern'];

/** Their values. */
export const SWITCH_VALUES = ['0', '1'] as const;

/** Whether each has one of its values, or is absent. */
export function areSwitches(query: Query): boolean {
  return [...SWITCHES, PRESENCE, REPORT].every((name) => query[name] === undefined || SWITCH_VALUES.some((value) => value === query[name]));
}

/** Whether one is on. Its value was checked. */
export function isOn(query: unknown, name: Switch): boolean {
  return (query as Readonly<Record<string, unknown>>)[name] !== '0';
}

/** Whether a stream is to tell who listens. Its value was checked. */
export function wantsPresence(query: unknown): boolean {
  return (query as Readonly<Record<string, unknown>>)[PRESENCE] === '1';
}

/** Whether to tell a publisher how many streams would be sent its message. Its value was checked, or does not count. */
export function wantsReport(query: unknown): boolean {
  return (query as Readonly<Record<string, unknown>>)[REPORT] === '1';
}

/** The form of a stream's events: without their names where the client does not want them. */
export function formOf(query: unknown, named: NamedForm): Form {
  return isOn(query, 'names') ? named : `${named}-unnamed`;
}
