import type { Grant } from '../../model/grant.ts';
import { FULL_GRANT, ScopedGrant } from '../../model/grant.ts';
import type { Permissions } from '../../model/permissions.ts';
import type { Member } from '../../presence/member.ts';
import type { SessionOrigin } from '../../store/contracts/session-store.ts';

/**
 * This room knows the credentials that the service itself makes: API keys, sessions and revocations, their texts and digests. Administrators' requests
 * come in, and are checked (`…-request.ts`) and carried out in the store (`…-administration.ts`). Every credential becomes an `Identity`: the sender of
 * a request, with its permissions.
 */

/** The sender of a request, if known, and its permissions. */
export interface Identity {
  readonly grant: Grant;
  /** Whether keys may be made and revoked. */
  readonly mayAdminister: boolean;
  /** Whether metrics, the details of readiness and the description of the service may be read. */
  readonly mayOperate: boolean;
  /** The namespace of the request's idempotency keys: two senders never share one. */
  readonly scope: string;
  /** For log lines; undefined where there was no credential. */
  readonly name: string | undefined;
  /** The credential, with the names that a revocation can use; undefined without one. */
  readonly credential: Credential | undefined;
  /** The origin for a session or ticket; undefined without a credential. */
  readonly origin?: SessionOrigin;
  /** The ticket that was shown in the place of the credential: it has to be used before the stream begins. */
  readonly ticket?: ShownTicket;
  /** The member that is present on the topics of its streams; undefined without a credential. */
  readonly member?: Member;
}

/** A ticket that was good. */
export interface ShownTicket {
  readonly id: string;
  /** SHA-256 of its secret. */
  readonly digest: Uint8Array;
}

/** A credential that was good. */
export interface Credential {
  /** The id of an API key and the name of its secret (standing.ts), or the subject of a token. */
  readonly owner: { readonly kind: 'key'; readonly id: string; readonly secret: string } | { readonly kind: 'subject'; readonly subject: string; readonly tokenId: string | undefined; readonly issuedAt: number };
  /** The id of the session that was shown in its place; absent where there was none. The credential is as good as both. */
  readonly session?: string | undefined;
  /** When it ends by itself; undefined if never. Milliseconds since 1970: by the database's clock for a key or session, by this machine's for a token. */
  readonly expires: number | undefined;
}

/** The namespace of all that the owner of a credential sends. */
export function scopeOf(owner: Credential['owner']): string {
  return owner.kind === 'key' ? `key:${owner.id}` : `sub:${owner.subject}`;
}

/** Topics and patterns that take no credential. */
export interface PublicScope {
  /** Topics that it may read. */
  readonly publicTopics: readonly string[];
  /** Topics that it may publish to. */
  readonly publicPublish: readonly string[];
}

/** Where administrators may erase, and see who listens. */
const EVERY_TOPIC: readonly string[] = ['>'];

/** Everybody, where there is no access control. Even then, only an administrator administers. */
export const EVERYBODY: Identity = { grant: FULL_GRANT, mayAdminister: false, mayOperate: true, scope: '', name: undefined, credential: undefined };

/** The identity of senders without a credential, where there is access control. */
export function anonymous({ publicTopics, publicPublish }: PublicScope): Identity {
  return { grant: new ScopedGrant({ publish: publicPublish, subscribe: publicTopics, isAnonymous: true }), mayAdminister: false, mayOperate: false, scope: '', name: undefined, credential: undefined };
}

/** The owners of credentials, each made once for a key's row or a verified token. Public topics are public for them, too. */
export class Owners {
  readonly #public: PublicScope;
  readonly #made = new WeakMap<object, Identity>();

  constructor(isPublic: PublicScope) {
    this.#public = isPublic;
  }

  /** The identity that was made for it before. */
  known(made: object): Identity | undefined {
    return this.#made.get(made);
  }

  /** @param made The secret of a key, or the verified token: for each an identity is made once. */
  of(made: object, { permissions: { publish, subscribe, erase, presence, admin, operate }, scope, name, credential, origin, member }: Pick<Identity, 'scope' | 'name' | 'credential' | 'origin' | 'member'> & { readonly permissions: Permissions }): Identity {
    const known = this.known(made);
    if (known !== undefined) return known;
    const grant = new ScopedGrant({ publish: [...publish, ...this.#public.publicPublish], subscribe: [...subscribe, ...this.#public.publicTopics], erase: admin ? EVERY_TOPIC : erase, presence: admin ? EVERY_TOPIC : presence });
    const identity = { grant, mayAdminister: admin, mayOperate: admin || operate, scope, name, credential, ...(origin === undefined ? {} : { origin }), ...(member === undefined ? {} : { member }) };
    this.#made.set(made, identity);
    return identity;
  }
}
