import { Problem } from '../model/problem.ts';
import { printable } from '../runtime/logging/printable.ts';
import type { TokenOrigin } from '../store/contracts/session-store.ts';
import type { TokenVerifier } from './access.ts';
import { Owners, scopeOf, type Identity, type PublicScope } from './credentials/identity.ts';
import type { JwtVerifier } from './tokens/jwt.ts';
import { TokenRefused, type Refusal } from './tokens/token-refused.ts';
import type { Verified } from './tokens/verified-tokens.ts';

/** The sentence for the client of a refused token. The exact reason is in the log. */
const SENTENCES: Readonly<Record<Refusal, readonly ['invalid-credential' | 'unavailable', string]>> = {
  bad: ['invalid-credential', 'The token is not good.'],
  expired: ['invalid-credential', 'The token has expired.'],
  unavailable: ['unavailable', 'The token cannot be checked now.'],
};

/** Turns verified tokens into identities. */
export class TokenIdentities implements TokenVerifier {
  readonly #verifier: JwtVerifier;
  readonly #owners: Owners;

  constructor(verifier: JwtVerifier, isPublic: PublicScope) {
    this.#verifier = verifier;
    this.#owners = new Owners(isPublic);
  }

  open(): void {
    this.#verifier.open();
  }

  close(): void {
    this.#verifier.close();
  }

  identify(token: string): Identity | Problem | Promise<Identity | Problem> {
    const verified = this.#verifier.verify(token);
    return verified instanceof Promise ? verified.then((one) => this.#owner(one), problemOf) : this.#owner(verified);
  }

  recall(origin: TokenOrigin, expires: number): Identity | undefined {
    return Buffer.compare(origin.proof, this.#verifier.proof) === 0 ? this.#identity(origin, origin, expires) : undefined;
  }

  #owner(verified: Verified): Identity {
    const { permissions, subject, tokenId, issuedAt, expires, meta } = verified;
    return this.#identity(verified, { kind: 'subject', subject, tokenId, issuedAt, permissions, ...(meta === undefined ? {} : { meta }), proof: this.#verifier.proof }, expires);
  }

  /** @param made What the identity is made once for. */
  #identity(made: object, origin: TokenOrigin, expires: number): Identity {
    const { permissions, subject, tokenId, issuedAt, meta } = origin;
    const owner = { kind: 'subject', subject, tokenId, issuedAt } as const;
    return this.#owners.of(made, { permissions, scope: scopeOf(owner), name: `subject ${printable(subject)}`, credential: { owner, expires }, origin, member: { id: subject, meta } });
  }
}

function problemOf(error: unknown): Problem {
  if (!(error instanceof TokenRefused)) throw error;
  const [code, sentence] = SENTENCES[error.refusal];
  return new Problem(code, sentence, { field: 'Authorization', cause: error });
}
