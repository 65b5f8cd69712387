/**
 * Ids and positions. A position is a point in the log: everything up to and including number `seq` lies before it.
 * On the wire it is the id of the message there, `<epoch>-<seq>`, and opaque to clients.
 */

/** A point in the log; `seq` 0 is before the first message. */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

const ID = /^([a-z0-9]{8,32})-(0|[1-9][0-9]{0,15})$/;

export function formatId(epoch: string, seq: number): string {
  return `${epoch}-${seq}`;
}

/** The position that an id names; undefined if the text has not the form of an id. */
export function parseId(text: string): Position | undefined {
  const match = ID.exec(text);
  if (match === null) return undefined;
  const seq = Number(match[2]);
  return Number.isSafeInteger(seq) ? { epoch: match[1]!, seq } : undefined;
}
