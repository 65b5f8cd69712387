import { createHash, hash } from 'node:crypto';

/** The tables that `tidings copy` copies besides messages (log-copy.ts), their rows as text, and digests by which source and target compare their rows. */

/** How the values of a column become text: a number in decimal digits, bytes in hexadecimal digits, a flag as 0 or 1. */
export type CopiedKind = 'number' | 'text' | 'bytes' | 'flag';

/** A row: the text of each column, or null. */
export type CopiedRow = readonly (string | null)[];

/** A table that both stores have under one name, with these columns. */
export interface CopiedTable {
  readonly name: string;
  readonly columns: Readonly<Record<string, CopiedKind>>;
  /** The columns by which both stores sort the rows, so that their digests can be compared. */
  readonly order: readonly string[];
}

/** The small tables. The final pass replaces them as a whole, after messages and keys. */
export const COPIED_TABLES: readonly CopiedTable[] = [
  { name: 'epochs', columns: { id: 'number', epoch: 'text', first: 'number', secret: 'text' }, order: ['id'] },
  { name: 'lost_epochs', columns: { epoch: 'text', parent: 'text', seq: 'number' }, order: ['id'] },
  { name: 'access', columns: { id: 'number', version: 'number' }, order: ['id'] },
  {
    name: 'api_keys',
    columns: {
      id: 'text', version: 'number', ends: 'number', created: 'number', expires: 'number', revoked: 'number', last_used: 'number', digest: 'bytes', old_digest: 'bytes', old_expires: 'number', name: 'text',
      permissions: 'text',
    },
    order: ['id'],
  },
  { name: 'session_state', columns: { id: 'number', version: 'number', held: 'number' }, order: ['id'] },
  { name: 'sessions', columns: { id: 'text', digest: 'bytes', created: 'number', expires: 'number', owner: 'text', origin: 'text' }, order: ['id'] },
  { name: 'session_ends', columns: { version: 'number', id: 'text' }, order: ['version'] },
  { name: 'erasures', columns: { version: 'number', seq: 'number', prefix: 'flag', topic: 'text' }, order: ['version'] },
  { name: 'revocation_list', columns: { id: 'number', version: 'number' }, order: ['id'] },
  { name: 'revocations', columns: { kind: 'text', name: 'text', before: 'number', created: 'number', ends: 'number', version: 'number' }, order: ['kind', 'name'] },
  { name: 'ticket_state', columns: { id: 'number', generation: 'number', held: 'number' }, order: ['id'] },
  {
    name: 'tickets',
    columns: { id: 'text', generation: 'number', ends: 'number', until: 'number', guarded: 'flag', digest: 'bytes', owner: 'text', session: 'text', origin: 'text', topics: 'text' },
    order: ['id'],
  },
  {
    name: 'webhooks',
    columns: {
      id: 'text', version: 'number', settings: 'text', status: 'text', reason: 'text', created: 'number', cursor: 'text', failures: 'number', failing_since: 'number', next_at: 'number', owner: 'text', fence: 'number',
      attempted: 'number',
    },
    order: ['id'],
  },
  { name: 'webhook_attempts', columns: { webhook: 'text', number: 'number', attempt: 'text' }, order: ['webhook', 'number'] },
  { name: 'connectors', columns: { name: 'text', owner: 'text', fence: 'number', cursor: 'text', status: 'text' }, order: ['name'] },
  { name: 'connector_positions', columns: { connector: 'text', part: 'text', identity: 'text', position: 'number' }, order: ['connector', 'part'] },
  { name: 'connector_origins', columns: { first: 'number', last: 'number', origin: 'text' }, order: ['first'] },
  { name: 'usage', columns: { id: 'text', version: 'number', first: 'number', last: 'number', topics: 'text', senders: 'text' }, order: ['id'] },
];

/** The idempotency keys. They are many, so a copy takes them in batches. `place` is the id of the row in SQLite. */
export const KEYS = {
  name: 'keys',
  columns: { place: 'number', scope: 'text', key: 'text', fingerprint: 'bytes', epoch: 'text', first: 'number', time: 'number', expires: 'number' },
  order: ['scope', 'key'],
} as const satisfies CopiedTable;

/** The columns of a message before its data. They do not name its epoch: the table `epochs` says at which number each epoch begins. */
export const MESSAGE_COLUMNS = { seq: 'number', time: 'number', expires: 'number', json: 'flag', topic: 'text', event: 'text' } as const satisfies CopiedTable['columns'];

/** How many rows there are, and a digest of their contents in their order. Equal proofs mean equal rows. */
export interface Proof {
  readonly rows: number;
  /** SHA-256 in hexadecimal digits; '' without rows. */
  readonly digest: string;
}

/** Computes a `Proof`: the digest of the digests of all rows. PostgreSQL computes the same (copy-target.ts), and joins only the short digests in memory. */
export class RowDigests {
  readonly #all = createHash('sha256');
  #rows = 0;

  /** @param data The data of a message. */
  add(row: CopiedRow, data?: Buffer): void {
    const text = Buffer.from(row.map((value) => (value === null ? '-,' : `${Buffer.byteLength(value)}:${value},`)).join(''));
    this.#all.update(hash('sha256', data === undefined ? text : Buffer.concat([text, data]), 'buffer'));
    this.#rows += 1;
  }

  proof(): Proof {
    return { rows: this.#rows, digest: this.#rows === 0 ? '' : this.#all.digest('hex') };
  }
}
