import { Problem } from '../../model/problem.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';

export interface WaitingRequestsOptions {
  /** The most of one sender. */
  readonly max: number;
  /** The detail of the problem for the next request. */
  readonly detail: string;
}

/** How many requests of each sender wait for something that takes a while. Stops one sender from using up what all may ask for. */
export class WaitingRequests {
  readonly #options: WaitingRequestsOptions;
  readonly #counts = new Map<Holder[0], number>();

  constructor(options: WaitingRequestsOptions) {
    this.#options = options;
  }

  /** Makes a call. Rejects with its error, or with a Problem `overloaded` where too many of this sender are under way. */
  async pass<Answer>(sender: Holder[0], call: () => Promise<Answer>): Promise<Answer> {
    const { max, detail } = this.#options;
    const count = this.#counts.get(sender) ?? 0;
    if (count >= max) throw new Problem('overloaded', detail);
    this.#counts.set(sender, count + 1);
    try {
      return await call();
    } finally {
      const left = this.#counts.get(sender)! - 1;
      if (left === 0) this.#counts.delete(sender);
      else this.#counts.set(sender, left);
    }
  }
}
