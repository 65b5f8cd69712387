/** The values of `control`: `0` leaves the control events out, for scripts that read every line of data. */
export const CONTROL_VALUES = ['0', '1'] as const;

/** Whether the client of a stream wants control events. The value was checked. */
export function wantsControl(query: unknown): boolean {
  return (query as { readonly control?: string }).control !== '0';
}
