import type { Answers, ControlChannel } from '../bus/control-channel.ts';
import type { Bus } from '../bus/bus.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import { isInstanceId } from '../access/leases/stream-handles.ts';
import { isObject } from './notes.ts';

/** How often an instance sends its report. */
const REPORT_EVERY_MS = 5_000;
/** A change of the number of streams by this part is reported at once, for the rebalancing of the others. */
const CHANGED_SHARE = 0.02;
/** How often to check whether a report is due. */
const ROSTER_LOOK_MS = 1_000;
/** Older reports are outdated: three were lost. */
const REPORT_GOOD_MS = 3 * REPORT_EVERY_MS;
/** How long a silent instance is still expected to answer. Longer than a Redis takes to fail over. */
const KNOWN_MS = 60_000;
/** How long to wait for an instance that does not listen, as the bus says: it was killed, or has lost the bus for a moment. */
const UNHEARD_MS = 400;
/** How long to wait if the bus does not count listeners, as a cluster: nearly the timeout of a question. */
const UNCOUNTED_MS = 2_000;
/** How often in a row the bus must report no listener under a name. An instance that lost the bus for a moment is back by then. */
const UNHEARD_MIN_REQUESTS = 2;
/** The most known instances, and the most ended ones. Stops a program that reports under many names from filling the memory. */
const ROSTER_MAX_ENTRIES = 1_000;

/** The kind of the note with an instance's report. */
const KIND = 'instance';

/** What an instance reports regularly. */
export interface Report {
  readonly streams: number;
  /** Whether it takes new streams. */
  readonly isReady: boolean;
}

/** A known instance. Times are by the monotonic clock of this process. */
interface Known {
  /** When its last report or answer came. */
  readonly heard: number;
  /** Its last report, with its time; undefined if it has only answered. */
  readonly report: (Report & { readonly at: number }) | undefined;
  /** Whether it listens on a channel of its own, as its report says. Older versions do not. */
  readonly hearsAlone: boolean;
}

/** The answers to a question to all. */
export interface Collected {
  readonly answers: Answers;
  /** The ids of instances that did not answer, in order. */
  readonly missing: readonly string[];
  /** Whether unknown instances may not have answered: older versions, or the bus is away. */
  readonly isPartial: boolean;
}

export interface RosterDependencies {
  readonly instance: string;
  readonly control: Pick<ControlChannel, 'tell' | 'answer' | 'collect'>;
  readonly bus: Pick<Bus, 'state' | 'receivers'>;
  readonly clock: Clock;
  readonly report: () => Report;
  /** Whether another process uses the log or has written to it. Without a bus, this is the only sign of others. */
  readonly hasSeenOthers: () => boolean;
}

/**
 * Knows the other instances. Each sends a report every `REPORT_EVERY_MS`, and a note when it ends. An instance that falls silent is still expected to answer for `KNOWN_MS`, so that
 * answers name it as missing.
 */
export class Roster {
  readonly #self: string;
  readonly #control: RosterDependencies['control'];
  readonly #bus: RosterDependencies['bus'];
  readonly #clock: Clock;
  readonly #report: () => Report;
  readonly #hasSeenOthers: () => boolean;
  readonly #known = new Map<string, Known>();
  /** Instances that have ended. No process takes the id of another, so a late report or answer of theirs does not count. */
  readonly #ended = new Set<string>();
  #openedAt = 0;
  /** When the bus was last seen to be away, after it had been up. */
  #awayAt = -Infinity;
  #hasBeenUp = false;
  #toldAt = -Infinity;
  #told: Report = { streams: 0, isReady: false };
  #timer: Timer | undefined;
  #hasLeft = false;

  constructor({ instance, control, bus, clock, report, hasSeenOthers }: RosterDependencies) {
    this.#self = instance;
    this.#control = control;
    this.#bus = bus;
    this.#clock = clock;
    this.#report = report;
    this.#hasSeenOthers = hasSeenOthers;
    control.answer(KIND, (body) => this.#hear(body));
  }

  /** Call it when the log is open and the bus has joined it. */
  open(): void {
    this.#openedAt = this.#clock.monotonic();
    this.#tick();
  }

  /** Sends a report now. */
  tell(): void {
    if (this.#hasLeft || this.#bus.state !== 'up') return;
    this.#toldAt = this.#clock.monotonic();
    this.#told = this.#report();
    this.#control.tell(KIND, { id: this.#self, ...this.#told, hearsAlone: true });
  }

  /** Reports that this instance ends, so that the others do not wait for its answers. */
  leave(): void {
    this.#timer?.cancel();
    if (!this.#hasLeft && this.#bus.state === 'up') this.#control.tell(KIND, { id: this.#self, hasLeft: true });
    this.#hasLeft = true;
  }

  /** Reports for another instance that its process has ended. */
  gone(id: string): void {
    if (this.#known.has(id) && this.#bus.state === 'up') this.#control.tell(KIND, { id, hasLeft: true });
    this.#end(id);
  }

  /** The other instances that are expected to answer, in order. */
  get others(): readonly string[] {
    const since = this.#clock.monotonic() - KNOWN_MS;
    for (const [id, { heard }] of this.#known) if (heard < since) this.#known.delete(id);
    return [...this.#known.keys()].sort();
  }

  /** Defined if there is no other instance to ask. `isPartial`: there may be other processes that the bus does not reach. */
  get alone(): { readonly isPartial: boolean } | undefined {
    const { state, receivers } = this.#bus;
    if (state === 'local') return { isPartial: this.#hasSeenOthers() };
    return state === 'up' && receivers === 1 && this.others.length === 0 ? { isPartial: false } : undefined;
  }

  /** The latest reports of the other instances, by their ids. */
  get reports(): ReadonlyMap<string, Report> {
    const since = this.#clock.monotonic() - REPORT_GOOD_MS;
    return new Map([...this.#known].flatMap(([id, { report }]) => report !== undefined && report.at >= since ? [[id, report] as const] : []));
  }

  /**
   * Asks all others.
   * @param asker The client that asks; absent if this instance asks for itself.
   * @param isEnough Whether to stop waiting for more answers.
   */
  async ask(kind: string, body: object, asker?: Holder, isEnough: (answers: Answers) => boolean = () => false): Promise<Collected> {
    const began = this.#clock.monotonic();
    const answers = await this.#control.collect(kind, body, (some) => isEnough(some) || this.#isComplete(some, this.#clock.monotonic() - began), { asker });
    for (const id of answers.keys()) if (isInstanceId(id)) this.#add(id);
    const missing = this.others.filter((id) => !answers.has(id));
    const { state, receivers } = this.#bus;
    const isPartial = state === 'local' ? this.#hasSeenOthers() : state !== 'up' || (receivers !== undefined && receivers - 1 > answers.size);
    return { answers, missing, isPartial };
  }

  /**
   * Asks one instance. The question goes to that instance alone; or to all, if it is of an older version or has not reported yet, and then only that one answers.
   * @returns Its answer; or, without one, whether the instance may exist. It does not exist if the bus reports no listener under its name. If the bus does not count
   * listeners, it does not exist if it has neither reported nor answered within `UNCOUNTED_MS`.
   */
  async askOne(instance: string, kind: string, body: object, asker?: Holder): Promise<{ readonly answer: unknown } | { readonly mayExist: boolean }> {
    const began = this.#clock.monotonic();
    let isCounted = false;
    let unheard = 0;
    const waitedMs = (): number => this.#clock.monotonic() - began;
    const isUnheard = (): boolean => unheard >= UNHEARD_MIN_REQUESTS && waitedMs() >= UNHEARD_MS;
    const answers = await this.#control.collect(kind, body, (some) => some.has(instance) || isUnheard(), {
      asker,
      to: () => this.#hearsAlone(instance) ? instance : undefined,
      reached: (listening) => {
        isCounted = true;
        unheard = listening > 0 ? 0 : unheard + 1;
      },
    });
    if (answers.has(instance)) {
      this.#add(instance);
      return { answer: answers.get(instance) };
    }
    const { state } = this.#bus;
    if (state === 'local') return { mayExist: this.#hasSeenOthers() };
    // `collect` returns at once if too many other questions wait, or the bus is away.
    const wasWaitedFor = isCounted ? isUnheard() : waitedMs() >= UNCOUNTED_MS;
    return { mayExist: state !== 'up' || !wasWaitedFor || !this.#isSettled || !this.#knowsAll() || this.others.includes(instance) };
  }

  /** Whether the bus has been up for long enough that all instances listen again. */
  get #isSettled(): boolean {
    return this.#clock.monotonic() - this.#awayAt > REPORT_GOOD_MS;
  }

  /** Whether to send a question to this instance alone. True for an unknown instance if all instances are known: then it does not exist. */
  #hearsAlone(instance: string): boolean {
    return this.#known.get(instance)?.hearsAlone ?? this.#knowsAll();
  }

  /** Whether all listeners on the bus have reported lately. An older version listens without a report. A killed instance is known for a while, but does not listen. */
  #knowsAll(): boolean {
    const { receivers } = this.#bus;
    const now = this.#clock.monotonic();
    if (receivers === undefined) return now - this.#openedAt > REPORT_GOOD_MS;
    let heard = 0;
    for (const one of this.#known.values()) if (now - one.heard <= REPORT_GOOD_MS) heard++;
    return receivers - 1 <= heard;
  }

  /** Whether all expected answers are there. The bus says how many instances listen, and reports say which. An older version listens without a report. */
  #isComplete(answers: Answers, waitedMs: number): boolean {
    const { receivers } = this.#bus;
    const isKnownComplete = this.others.every((id) => answers.has(id));
    if (receivers !== undefined) return answers.size >= receivers - 1 && (isKnownComplete || waitedMs >= UNHEARD_MS);
    // Just after the boot, some instances have not reported yet.
    return isKnownComplete && (waitedMs >= UNHEARD_MS || this.#clock.monotonic() - this.#openedAt > REPORT_GOOD_MS);
  }

  #tick(): void {
    if (this.#hasLeft) return;
    this.#lookAtBus();
    if (this.#clock.monotonic() - this.#toldAt >= REPORT_EVERY_MS || this.#hasChanged()) this.tell();
    this.#timer = this.#clock.after(ROSTER_LOOK_MS, () => this.#tick());
  }

  #lookAtBus(): void {
    if (this.#bus.state === 'up') this.#hasBeenUp = true;
    else if (this.#hasBeenUp) this.#awayAt = this.#clock.monotonic();
  }

  #hasChanged(): boolean {
    const { streams, isReady } = this.#report();
    return isReady !== this.#told.isReady || Math.abs(streams - this.#told.streams) > this.#told.streams * CHANGED_SHARE;
  }

  #hear(body: unknown): undefined {
    if (!isObject(body) || !isInstanceId(body['id']) || body['id'] === this.#self) return undefined;
    const { id, streams, isReady, hasLeft, hearsAlone } = body;
    if (hasLeft === true) this.#end(id);
    else if (Number.isSafeInteger(streams) && typeof isReady === 'boolean') this.#add(id, { streams: streams as number, isReady, at: this.#clock.monotonic() }, hearsAlone === true);
    return undefined;
  }

  #end(id: string): void {
    this.#known.delete(id);
    this.#ended.add(id);
    if (this.#ended.size > ROSTER_MAX_ENTRIES) this.#ended.delete(this.#ended.values().next().value!);
  }

  #add(id: string, report = this.#known.get(id)?.report, isHearingAlone = this.#known.get(id)?.hearsAlone === true): void {
    if (this.#ended.has(id)) return;
    const isNew = !this.#known.has(id);
    if (isNew && this.#known.size >= ROSTER_MAX_ENTRIES) return;
    this.#known.set(id, { heard: this.#clock.monotonic(), report, hearsAlone: isHearingAlone });
    // The new instance does not know this one yet: make a report due.
    if (isNew) this.#toldAt = -Infinity;
  }
}
