import type { Actor } from '../../model/actor.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { KeyRecord, KeyStore } from '../../store/contracts/key-store.ts';
import { makeApiKey } from './api-key.ts';
import type { KeyRequest } from './key-request.ts';

export interface KeyAdministrationDependencies {
  readonly store: KeyStore;
  readonly logger: Pick<Logger, 'info'>;
  /** Called after each change, so that it counts on this instance before it is answered. */
  readonly onChange: () => Promise<void>;
}

/** A key's row and, where it got a new secret, the key itself: it is shown this once. */
export interface ShownKey {
  readonly record: KeyRecord;
  readonly text: string;
}

/** A key as administrators see it, without its secrets: times as RFC 3339 writes them. */
export function describeKey({ id, name, permissions, created, expires, revoked, lastUsed }: KeyRecord): object {
  return { id, name, ...permissions, created: timeText(created), expires: timeText(expires), revoked: timeText(revoked), lastUsed: timeText(lastUsed) };
}

function timeText(time: number | undefined): string | undefined {
  return time === undefined ? undefined : new Date(time).toISOString();
}

/** Makes, rotates and revokes API keys, and writes an audit line for each change. The ways in are the command line and the routes of administrators. */
export class KeyAdministration {
  readonly #store: KeyStore;
  readonly #logger: Pick<Logger, 'info'>;
  readonly #onChange: () => Promise<void>;

  constructor({ store, logger, onChange }: KeyAdministrationDependencies) {
    this.#store = store;
    this.#logger = logger;
    this.#onChange = onChange;
  }

  /**
   * @param by Who asks for it, for the audit line.
   * @returns undefined where there are too many keys.
   */
  async create({ name, permissions, lifetimeMs }: KeyRequest, by: Actor): Promise<ShownKey | undefined> {
    const { id, text, digest } = makeApiKey();
    const record = await this.#store.createKey({ id, name, permissions, digest, lifetimeMs });
    if (record === undefined) return undefined;
    await this.#changed({ audit: 'key-created', key: id, keyName: name, ...permissions, expires: record.expires }, by, 'an API key was created');
    return { record, text };
  }

  /** Gives a key a new secret. @returns undefined where there is no such key, or it has ended. */
  async rotate(id: string, overlapMs: number, by: Actor): Promise<ShownKey | undefined> {
    const { text, digest } = makeApiKey(id);
    const record = await this.#store.rotateKey(id, { digest, overlapMs });
    if (record === undefined) return undefined;
    await this.#changed({ audit: 'key-rotated', key: id, keyName: record.name, overlapMs }, by, 'an API key got a new secret');
    return { record, text };
  }

  /** Ends a key for good. @returns undefined where there is no such key. */
  async revoke(id: string, by: Actor): Promise<KeyRecord | undefined> {
    const record = await this.#store.revokeKey(id);
    if (record === undefined) return undefined;
    await this.#changed({ audit: 'key-revoked', key: id, keyName: record.name }, by, 'an API key was revoked');
    return record;
  }

  async find(id: string): Promise<KeyRecord | undefined> {
    const [record] = await this.#store.findKeys([id]);
    return record;
  }

  list(page: { readonly after: string; readonly limit: number }): Promise<readonly KeyRecord[]> {
    return this.#store.listKeys(page);
  }

  #changed(facts: object, { name, client }: Actor, sentence: string): Promise<void> {
    this.#logger.info({ ...facts, by: name, client }, sentence);
    return this.#onChange();
  }
}
