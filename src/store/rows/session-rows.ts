import { checkDigest, checkWhole, NEVER_MS, permissionsOf } from './key-rows.ts';
import type { NewSession, SessionKey, SessionOrigin, SessionRecord } from '../contracts/session-store.ts';
import { StoreError } from '../store.ts';

/** A row of `sessions` without `owner`. */
export interface SessionRow {
  readonly id: string;
  readonly digest: Uint8Array;
  readonly created: number;
  readonly expires: number;
  readonly origin: string;
}

export function sessionRecord({ id, digest, created, expires, origin }: SessionRow): SessionRecord {
  return { id, digest, created, expires, origin: originOf(origin) };
}

/** The credential, as text, whose sessions or tickets share one bound. */
export function ownerOf(origin: SessionOrigin): string {
  return origin.kind === 'key' ? `key:${origin.id}` : `sub:${origin.subject}`;
}

/** The origin as it is stored. */
export function originText(origin: SessionOrigin): string {
  return JSON.stringify({ ...origin, proof: Buffer.from(origin.proof).toString('hex') });
}

const PROOF = /^[0-9a-f]{64}$/;

/** Reads a stored origin. Throws at any other text: it must not give anybody access. */
export function originOf(text: string): SessionOrigin {
  const { kind, id, proof, subject, tokenId, issuedAt, permissions, meta } = JSON.parse(text) as Readonly<Record<string, unknown>>;
  if (typeof proof !== 'string' || !PROOF.test(proof)) throw wrongOrigin();
  // A copy: the pool that the `Buffer` is a slice of would cross to the main thread with it.
  const bytes = Uint8Array.from(Buffer.from(proof, 'hex'));
  if (kind === 'key' && typeof id === 'string') return { kind, id, proof: bytes };
  if (kind !== 'subject' || typeof subject !== 'string' || (tokenId !== undefined && typeof tokenId !== 'string') || !Number.isSafeInteger(issuedAt) || (meta !== undefined && typeof meta !== 'string')) throw wrongOrigin();
  return { kind, subject, tokenId, issuedAt: issuedAt as number, permissions: permissionsOf(permissions), ...(meta === undefined ? {} : { meta }), proof: bytes };
}

function wrongOrigin(): TypeError {
  return new TypeError('the origin of a session is not what this program stores');
}

export function checkNewSession({ digest, lifetimeMs, until, origin, replaces }: NewSession): void {
  checkDigest(digest);
  checkDigest(origin.proof);
  if (replaces !== undefined) checkDigest(replaces.digest);
  checkWhole('the lifetime of a session', lifetimeMs, 1, NEVER_MS);
  if (until !== undefined) checkWhole('the end of a credential', until, 0, NEVER_MS);
}

export function checkSessionKey({ digest }: SessionKey): void {
  checkDigest(digest);
}

/** Another session or ticket has the id. Ids are random, so somebody used an id a second time. */
export function idTaken(kind: 'session' | 'ticket'): StoreError {
  return new StoreError('refused', `another ${kind} has this id`);
}
