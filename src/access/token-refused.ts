/**
 * `bad`: it was never good, or is not meant for this service. `expired`: it was good, and a new one will be. `unavailable`: nobody can say now, because its key
 * cannot be fetched; the same token may be good in a moment.
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
