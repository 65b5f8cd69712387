import { Problem } from '../model/problem.ts';
import { printable } from '../runtime/printable.ts';
import { withPublic, type AccessSettings, type TokenVerifier } from './access.ts';
import { owner, type Identity } from './identity.ts';
import type { JwtVerifier } from './jwt.ts';
import { TokenRefused, type Refusal } from './token-refused.ts';
import type { Verified } from './verified-tokens.ts';

/** What a client is told of a token that is not accepted: why exactly stands in the log, beside where it came from. */
const SENTENCES: Readonly<Record<Refusal, readonly ['invalid-credential' | 'unavailable', string]>> = {
  bad: ['invalid-credential', 'The token is not good.'],
  expired: ['invalid-credential', 'The token has expired.'],
  unavailable: ['unavailable', 'The token cannot be checked now.'],
};

/** Turns verified tokens into identities. */
export class TokenIdentities implements TokenVerifier {
  readonly #verifier: JwtVerifier;
  readonly #settings: AccessSettings;
  /** What a token grants, made once for each. */
  readonly #owners = new WeakMap<Verified, Identity>();

  constructor(verifier: JwtVerifier, settings: AccessSettings) {
    this.#verifier = verifier;
    this.#settings = settings;
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

  #owner(verified: Verified): Identity {
    let identity = this.#owners.get(verified);
    if (identity === undefined) {
      const { subject, permissions } = verified;
      identity = owner(withPublic(permissions, this.#settings), { scope: `sub:${subject}`, name: `subject ${printable(subject)}` });
      this.#owners.set(verified, identity);
    }
    return identity;
  }
}

function problemOf(error: unknown): Problem {
  if (!(error instanceof TokenRefused)) throw error;
  const [code, sentence] = SENTENCES[error.refusal];
  return new Problem(code, sentence, { field: 'Authorization', cause: error });
}
