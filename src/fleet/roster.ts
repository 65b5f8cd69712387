import type { Answers, ControlChannel } from '../bus/control-channel.ts';
import type { Bus } from '../bus/bus.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import { isInstanceId } from '../access/leases/stream-handles.ts';
import { isObject } from './notes.ts';

/** How often an instance tells the others of itself. Milliseconds. */
const REPORT_EVERY_MS = 5_000;
/** A change of its streams by this part is reported at once: other instances may be sending it theirs. */
const CHANGED_SHARE = 0.02;
/** How often it is looked whether that is due: the bus may have come up, or a new instance have been heard. Milliseconds. */
const ROSTER_LOOK_MS = 1_000;
/** Reports that are older say nothing of how an instance is now: three were lost. Milliseconds. */
const REPORT_GOOD_MS = 3 * REPORT_EVERY_MS;
/** How long an instance that says nothing more is still expected to answer. Longer than a Redis takes to fail over. Milliseconds. */
const KNOWN_MS = 60_000;
/** How long to wait for an instance that Redis does not count among its listeners: it was killed, or lost Redis. Milliseconds. */
const UNHEARD_MS = 400;
/** How long to wait where nobody counts listeners, as in a cluster: nearly as long as a question waits for its answer. Milliseconds. */
const UNCOUNTED_MS = 2_000;
/** How often the bus has to say that nobody listens under a name, before that is believed: one that has lost the bus for a moment is back by then. */
const UNHEARD_MIN_REQUESTS = 2;
/** How many instances are remembered, and how many ended ones. Stops a program that reports under many names from filling the memory. */
const ROSTER_MAX_ENTRIES = 1_000;

/** The kind of the note with an instance's report. */
const KIND = 'instance';

/** The report that an instance sends without a question. */
export interface Report {
  readonly streams: number;
  /** Whether it takes new streams. */
  readonly isReady: boolean;
}

/** Times are by the clock of this process. */
interface Known {
  /** When its last report or answer came. */
  readonly heard: number;
  /** Its last report, and when; undefined if it has only answered. */
  readonly report: (Report & { readonly at: number }) | undefined;
  /** Whether it has said that it listens on a channel of its own. Instances of an older version do not. */
  readonly hearsAlone: boolean;
}

/** The answers to a question to all. */
export interface Collected {
  readonly answers: Answers;
  /** The ids of instances that did not answer, in order. */
  readonly missing: readonly string[];
  /** Whether there may be others that did not answer, without a name: they are of an older version, or the bus is away. */
  readonly isPartial: boolean;
}

export interface RosterDependencies {
  readonly instance: string;
  readonly control: Pick<ControlChannel, 'tell' | 'answer' | 'collect'>;
  readonly bus: Pick<Bus, 'state' | 'receivers'>;
  readonly clock: Clock;
  readonly report: () => Report;
  /** Whether another process is on the log, or has written to it: without a bus, that is all that tells of others. */
  readonly hasSeenOthers: () => boolean;
}

/**
 * The other instances. Each reports itself every `REPORT_EVERY_MS`. One that ends says so. One that falls silent is still expected to answer for `KNOWN_MS`, so that
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

  /** The log is open, and the bus was joined. */
  open(): void {
    this.#openedAt = this.#clock.monotonic();
    this.#tick();
  }

  /** Tells the others at once how this instance is. */
  tell(): void {
    if (this.#hasLeft || this.#bus.state !== 'up') return;
    this.#toldAt = this.#clock.monotonic();
    this.#told = this.#report();
    this.#control.tell(KIND, { id: this.#self, ...this.#told, hearsAlone: true });
  }

  /** This instance ends: nobody expects it to answer. */
  leave(): void {
    this.#timer?.cancel();
    if (!this.#hasLeft && this.#bus.state === 'up') this.#control.tell(KIND, { id: this.#self, hasLeft: true });
    this.#hasLeft = true;
  }

  /** The process of another instance has ended, without a word of its own. */
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

  /** Set where no other instance can be asked. `isPartial`: other processes may still exist. */
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
   * @param asker Who asks; absent where no client does.
   * @param isEnough Whether the answer that counts is there.
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
   * Asks one instance, which alone hears it. All hear it if that instance is of an older version, or has not reported yet; the others keep silent.
   * @returns Its answer; or, where none came, whether the instance may exist. It does not exist if the bus says that nobody listens under its name. A bus may not know that:
   * then the instance does not exist if it has neither reported nor answered in the longest wait.
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
    // No time has passed where too many other questions wait, or the bus was away.
    const wasWaitedFor = isCounted ? isUnheard() : waitedMs() >= UNCOUNTED_MS;
    return { mayExist: state !== 'up' || !wasWaitedFor || !this.#isSettled || !this.#knowsAll() || this.others.includes(instance) };
  }

  /** While the bus comes back, instances listen again one after the other. */
  get #isSettled(): boolean {
    return this.#clock.monotonic() - this.#awayAt > REPORT_GOOD_MS;
  }

  /** Whether no other instance needs to hear a question to this one: all are known, so an unknown one does not exist. */
  #hearsAlone(instance: string): boolean {
    return this.#known.get(instance)?.hearsAlone ?? this.#knowsAll();
  }

  /** Whether all that listen have been heard just now. One of an older version has no report, and one that was killed is expected for a while, but does not listen. */
  #knowsAll(): boolean {
    const { receivers } = this.#bus;
    const now = this.#clock.monotonic();
    if (receivers === undefined) return now - this.#openedAt > REPORT_GOOD_MS;
    let heard = 0;
    for (const one of this.#known.values()) if (now - one.heard <= REPORT_GOOD_MS) heard++;
    return receivers - 1 <= heard;
  }

  /** Redis says how many listen, and reports say which. An instance of an older version listens, and has no report. */
  #isComplete(answers: Answers, waitedMs: number): boolean {
    const { receivers } = this.#bus;
    const isKnownComplete = this.others.every((id) => answers.has(id));
    if (receivers !== undefined) return answers.size >= receivers - 1 && (isKnownComplete || waitedMs >= UNHEARD_MS);
    // Just after the start, not all others have been heard.
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
    // It does not know this instance yet.
    if (isNew) this.#toldAt = -Infinity;
  }
}
