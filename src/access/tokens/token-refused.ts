/**
 * `bad`: the token is not good here. `expired`: it was good; the client needs a new one. `unavailable`: its key cannot be fetched now, so nobody
 * can tell; the client should try the same token again.
 */
export type Refusal = 'bad' | 'expired' | 'unavailable';

/** Why a token is not accepted. The message is for the service's own log, and repeats nothing of the token. */
export class TokenRefused extends Error {
  override name = 'TokenRefused';
  readonly refusal: Refusal;

  constructor(refusal: Refusal, reason: string) {
    super(reason);
    this.refusal = refusal;
  }
}
