import type { Query } from './query-string.ts';

/** The values of `control`: `0` leaves the control events out, for scripts that read every line of data. */
export const CONTROL_VALUES = ['0', '1'] as const;

/** Whether `control` has one of its values, or is absent. */
export function isControl(query: Query): boolean {
  return query.control === undefined || CONTROL_VALUES.some((value) => value === query.control);
}

/** Whether the client of a stream wants control events. The value was checked. */
export function wantsControl(query: unknown): boolean {
  return (query as { readonly control?: string }).control !== '0';
}
