/** What comes in as a note was sent by an instance, perhaps one of another version: its shape is checked. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
