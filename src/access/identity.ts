import type { Grant } from '../model/grant.ts';
import { FULL_GRANT, ScopedGrant } from '../model/grant.ts';
import type { Permissions } from '../model/permissions.ts';

/** Who sent a request, as far as that is known, and what they may do. */
export interface Identity {
  readonly grant: Grant;
  /** Whether keys may be made and revoked. */
  readonly mayAdminister: boolean;
  /** Whether metrics, the details of readiness and the description of the service may be read. */
  readonly mayOperate: boolean;
  /** Whose idempotency keys those of the request are: two senders never share one. */
  readonly scope: string;
  /** For log lines; undefined where there was no credential. */
  readonly name: string | undefined;
}

/** Everybody, where there is no access control. Even then, only an administrator administers. */
export const EVERYBODY: Identity = { grant: FULL_GRANT, mayAdminister: false, mayOperate: true, scope: '', name: undefined };

/** Those who send no credential, where there is access control. */
export function anonymous(may: { readonly publish: readonly string[]; readonly subscribe: readonly string[] }): Identity {
  return { grant: new ScopedGrant({ ...may, isAnonymous: true }), mayAdminister: false, mayOperate: false, scope: '', name: undefined };
}

/** The owner of a credential. */
export function owner(permissions: Permissions, { scope, name }: { readonly scope: string; readonly name: string }): Identity {
  return { grant: new ScopedGrant(permissions), mayAdminister: permissions.admin, mayOperate: permissions.admin, scope, name };
}
