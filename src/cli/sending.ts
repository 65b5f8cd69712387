import { Passing } from '../client/problem.ts';
import { TidingsError, type RequestParts, type Requests } from '../client/requests.ts';
import { pause, pauseAfter } from '../client/waiting.ts';
import { reasonOf, say, timedOut } from './outcome.ts';

/** A publish as a request. */
export interface Sending {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The idempotency key, the same for all attempts. */
  readonly key: string;
}

export interface Sent {
  readonly text: string;
  /** An earlier attempt, or an earlier command with the same key, had stored the message. */
  readonly isReplayed: boolean;
}

/** The advice if no answer came. */
export function notKnown(key: string): string {
  return `Whether it was stored is unknown: repeat the command with --key ${key}, which stores it once.`;
}

/** Publishes, and retries until the outcome is known. Every attempt has the same key, so the message is stored once. Prints the first failure of a series. */
export class Sender {
  readonly #requests: Requests;
  readonly #timeoutMs: number;
  #isTroubled = false;

  constructor(requests: Requests, timeoutMs: number) {
    this.#requests = requests;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves with a complete answer. An answer that breaks off is retried, too. @throws CommandError after the timeout */
  async send({ path, headers, body, key }: Sending): Promise<Sent> {
    const signal = AbortSignal.timeout(this.#timeoutMs);
    const parts: RequestParts = { method: 'POST', headers: { ...headers, 'idempotency-key': key }, body, signal };
    for (let failures = 1; ; failures++) {
      try {
        const answer = await this.#requests.send(path, parts);
        const text = await answer.text().catch((error: unknown) => {
          throw new Passing(error);
        });
        this.#isTroubled = false;
        return { text, isReplayed: answer.headers.get('idempotency-replayed') === 'true' };
      } catch (error) {
        if (error instanceof TidingsError) throw error;
        if (signal.aborted) throw timedOut(`No answer in time. ${notKnown(key)}`);
        if (!(error instanceof Passing)) throw error;
        if (!this.#isTroubled) say(`${reasonOf(error)} Trying again.`);
        this.#isTroubled = true;
        await pause(pauseAfter(failures, error), signal);
      }
    }
  }
}
