import { within, type Clock } from '../runtime/clock.ts';
import { mergeMetrics } from './merged-metrics.ts';
import type { WorkerProcess } from './worker-process.ts';

/** How long to wait for the metrics of workers. Prometheus itself gives up after ten seconds. */
const METRICS_WAIT_MS = 2_000;

export interface CollectionsDependencies {
  readonly clock: Clock;
  readonly workers: () => readonly WorkerProcess[];
  /** The supervisor's own metrics. @param answered The workers whose metrics came in time. */
  readonly render: (answered: ReadonlySet<number>) => Promise<string>;
}

interface Collection {
  readonly id: number;
  readonly texts: Map<number, string>;
  readonly asked: readonly WorkerProcess[];
  readonly complete: PromiseWithResolvers<true>;
}

/** Collects the metrics of all workers. Callers at the same time share one collection. */
export class Collections {
  readonly #dependencies: CollectionsDependencies;
  #count = 0;
  #current: (Collection & { readonly text: Promise<string> }) | undefined;

  constructor(dependencies: CollectionsDependencies) {
    this.#dependencies = dependencies;
  }

  collect(): Promise<string> {
    this.#current ??= this.#begin();
    return this.#current.text;
  }

  /** A worker sent its metrics. */
  rendered(number: number, id: number, text: string): void {
    if (this.#current?.id !== id) return;
    this.#current.texts.set(number, text);
    this.#look();
  }

  /** A worker ended: a collection does not wait for it. */
  gone(): void {
    this.#look();
  }

  #begin(): Collection & { readonly text: Promise<string> } {
    const collection: Collection = { id: ++this.#count, texts: new Map(), asked: this.#dependencies.workers(), complete: Promise.withResolvers<true>() };
    for (const worker of collection.asked) worker.tell({ kind: 'render', id: collection.id });
    return { ...collection, text: this.#finish(collection) };
  }

  async #finish({ texts, complete }: Collection): Promise<string> {
    const { clock, render } = this.#dependencies;
    await within(clock, METRICS_WAIT_MS, complete.promise);
    this.#current = undefined;
    const own = await render(new Set(texts.keys()));
    return mergeMetrics([own, ...[...texts].sort(([one], [other]) => one - other).map(([, text]) => text)]);
  }

  #look(): void {
    if (this.#current === undefined) return;
    const { asked, texts, complete } = this.#current;
    const running = this.#dependencies.workers();
    if (asked.every((worker) => texts.has(worker.number) || !running.includes(worker))) complete.resolve(true);
  }
}
