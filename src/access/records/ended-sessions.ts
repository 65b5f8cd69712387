import { timingSafeEqual } from 'node:crypto';
import type { ControlChannel } from '../../bus/control-channel.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { SessionKey } from '../../store/contracts/session-store.ts';
import { DIGEST_BYTES } from '../../store/rows/key-rows.ts';

/** How long it is remembered. Longer than a browser waits between two attempts. Milliseconds. */
const REMEMBERED_MS = 3_600_000;
/** Sessions that are remembered. Stops a program that ends many from filling the memory: the attempts of those before get 401, which ends them, too. */
const ENDED_MAX_ENTRIES = 1_000;

/** The kind of a note about an ended session. */
const KIND = 'session-ended';

interface Ended {
  readonly digest: Buffer;
  /** By the clock of this process. */
  readonly at: number;
}

export interface EndedSessionsDependencies {
  readonly control: Pick<ControlChannel, 'tell' | 'answer'>;
  readonly clock: Pick<Clock, 'monotonic'>;
}

/**
 * Sessions that an administrator ended together with a stream. Their streams are told not to come back. It is a courtesy: the database says that they are no sessions any more, and an instance that
 * has not heard of one answers 401.
 */
export class EndedSessions {
  readonly #control: EndedSessionsDependencies['control'];
  readonly #clock: EndedSessionsDependencies['clock'];
  readonly #ended = new Map<string, Ended>();

  constructor({ control, clock }: EndedSessionsDependencies) {
    this.#control = control;
    this.#clock = clock;
    control.answer(KIND, (body) => this.#told(body));
  }

  /** Remembers an ended session here, and on all other instances. */
  add({ id, digest }: SessionKey): void {
    const bytes = Buffer.from(digest);
    this.#keep(id, bytes);
    this.#control.tell(KIND, { id, digest: bytes.toString('hex') });
  }

  /** Whether the text names an ended session. The answer tells only a caller that has the session's secret. */
  has({ id, digest }: SessionKey): boolean {
    const ended = this.#ended.get(id);
    return ended !== undefined && this.#clock.monotonic() - ended.at < REMEMBERED_MS && timingSafeEqual(ended.digest, digest);
  }

  #keep(id: string, digest: Buffer): void {
    this.#ended.set(id, { digest, at: this.#clock.monotonic() });
    if (this.#ended.size > ENDED_MAX_ENTRIES) this.#ended.delete(this.#ended.keys().next().value!);
  }

  #told(body: unknown): undefined {
    const { id, digest } = typeof body === 'object' && body !== null ? body as { readonly id?: unknown; readonly digest?: unknown } : {};
    const bytes = typeof digest === 'string' ? Buffer.from(digest, 'hex') : undefined;
    if (typeof id === 'string' && bytes?.length === DIGEST_BYTES) this.#keep(id, bytes);
    return undefined;
  }
}
