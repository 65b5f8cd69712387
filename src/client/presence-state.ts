import type { Member, PresenceChange } from './api.ts';

/** The data of a `$presence` event. A state has `members`, or only `count` if there are too many. A change has `joined`, `changed` and `left`, and the number after the event before it. */
export interface PresenceEvent {
  readonly topic: string;
  readonly number: number;
  readonly streams: number;
  readonly members?: readonly Member[];
  readonly count?: number;
  readonly joined?: readonly Member[];
  readonly changed?: readonly Member[];
  readonly left?: readonly string[];
  readonly partial?: boolean;
}

/** The members of one topic: the last state, with the changes after it applied. */
export class PresenceState {
  readonly #topic: string;
  #number = 0;
  #streams = 0;
  #count = 0;
  #isPartial = false;
  /** Undefined before the first state, and if the state has only a count. */
  #members: Map<string, Member> | undefined;
  /** Whether a first state has come. */
  #isKnown = false;

  constructor(topic: string) {
    this.#topic = topic;
  }

  /** @returns The difference; undefined if the event changes nothing. `missed`: an event is missing, so a new state is needed. */
  apply(event: PresenceEvent): PresenceChange | 'missed' | undefined {
    const isState = event.members !== undefined || event.count !== undefined;
    if (!isState && (this.#members === undefined || event.number !== this.#number + 1)) return 'missed';
    const before = this.#members ?? new Map<string, Member>();
    const after = isState ? membersOf(event) : merged(before, event);
    const wasKnown = this.#isKnown;
    const counts = [this.#count, this.#streams, this.#isPartial].join();
    this.#isKnown = true;
    this.#members = after;
    this.#number = event.number;
    this.#streams = event.streams;
    this.#count = after?.size ?? event.count!;
    this.#isPartial = event.partial ?? false;
    const news = after === undefined ? { joined: [], changed: [], left: [] } : difference(before, after);
    const hasChanged = counts !== [this.#count, this.#streams, this.#isPartial].join() || Object.values(news).some(({ length }) => length > 0);
    return hasChanged || !wasKnown ? this.change(news) : undefined;
  }

  /** The whole state as a change, in which by default everybody has joined; undefined before the first state. */
  change(news: Pick<PresenceChange, 'joined' | 'changed' | 'left'> = { joined: [...this.#members?.values() ?? []], changed: [], left: [] }): PresenceChange | undefined {
    if (!this.#isKnown) return undefined;
    return { topic: this.#topic, members: this.#members && [...this.#members.values()], count: this.#count, streams: this.#streams, ...news, ...(this.#isPartial ? { partial: true } : {}) };
  }

  /** The whole state as the service would send it; undefined before the first state. */
  event(): PresenceEvent | undefined {
    if (!this.#isKnown) return undefined;
    const who = this.#members === undefined ? { count: this.#count } : { members: [...this.#members.values()] };
    return { topic: this.#topic, number: this.#number, streams: this.#streams, ...who, ...(this.#isPartial ? { partial: true } : {}) };
  }
}

function membersOf({ members }: PresenceEvent): Map<string, Member> | undefined {
  return members && new Map(members.map((member) => [member.id, member]));
}

function merged(before: ReadonlyMap<string, Member>, { joined = [], changed = [], left = [] }: PresenceEvent): Map<string, Member> {
  const after = new Map(before);
  for (const member of [...joined, ...changed]) after.set(member.id, member);
  for (const id of left) after.delete(id);
  return after;
}

function difference(before: ReadonlyMap<string, Member>, after: ReadonlyMap<string, Member>): Pick<PresenceChange, 'joined' | 'changed' | 'left'> {
  const all = [...after.values()];
  return {
    joined: all.filter(({ id }) => !before.has(id)),
    changed: all.filter((member) => before.has(member.id) && JSON.stringify(before.get(member.id)) !== JSON.stringify(member)),
    left: [...before.keys()].filter((id) => !after.has(id)),
  };
}
