import { printable } from '../../runtime/logging/printable.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { Revocation, RevocationPage, RevocationStore } from '../../store/contracts/revocation-store.ts';
import type { Actor } from '../../model/actor.ts';
import { readRevocationRequest } from './revocation-request.ts';

export interface RevocationAdministrationDependencies {
  readonly store: RevocationStore;
  readonly logger: Pick<Logger, 'info'>;
  /** Called after each change, so that it counts on this instance before it is answered. */
  readonly onChange: () => Promise<void>;
  /** The most between `iat` and `exp` of a token. */
  readonly maxSeconds: number;
  /** The database's clock: milliseconds since 1970. */
  readonly now: () => number;
}

/** A revocation as administrators see it: times as RFC 3339 writes them. */
export function describeRevocation({ kind, name, before, created, ends }: Revocation): object {
  return {
    ...(kind === 'all' ? {} : { [kind]: name }), issuedBefore: before === undefined ? undefined : new Date(before).toISOString(),
    revoked: new Date(created).toISOString(), forgotten: new Date(ends).toISOString(),
  };
}

/** Revokes tokens, and writes an audit line for each revocation. */
export class RevocationAdministration {
  readonly #dependencies: RevocationAdministrationDependencies;

  constructor(dependencies: RevocationAdministrationDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * @param request The request, unchecked.
   * @returns undefined where there are too many.
   * @throws Problem
   */
  async revoke(request: unknown, { name: by, client }: Actor): Promise<Revocation | undefined> {
    const { store, logger, onChange, maxSeconds, now } = this.#dependencies;
    const revocation = await store.revoke(readRevocationRequest(request, { maxSeconds, now: now() }));
    if (revocation === undefined) return undefined;
    const { kind, name, before } = revocation;
    logger.info({ audit: 'revoked', kind, name: printable(name), before: before === undefined ? undefined : new Date(before).toISOString(), by, client }, 'tokens were revoked');
    await onChange();
    return revocation;
  }

  list(page: { readonly after: number; readonly limit: number }): Promise<RevocationPage> {
    return this.#dependencies.store.listRevocations(page);
  }
}
