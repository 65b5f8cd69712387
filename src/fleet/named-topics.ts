import type { ControlChannel } from '../bus/control-channel.ts';
import { TOPICS_PAGE_MAX_ENTRIES, type SomeNames } from '../log/history/topic-reads.ts';
import { byBytes } from '../model/byte-order.ts';
import { TopicScope } from '../model/topic-scope.ts';
import { isPattern } from '../model/topic.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import { InTurns } from '../runtime/in-turns.ts';
import { isObject } from './notes.ts';
import type { Collected, Roster } from './roster.ts';

/** How long a walk may use one turn of the event loop. Stops a question about many topics from delaying messages. */
const LIST_TURN_MS = 2;

/** The kind of the question. */
const KIND = 'topics-named';

export interface NamedQuery {
  /** Topics and patterns: only topics that match one of them. */
  readonly scope: readonly string[];
  /** The prefix of their names. */
  readonly prefix: string;
  /** Only names after it. */
  readonly after: string;
  /** At most `TOPICS_PAGE_MAX_ENTRIES`. */
  readonly limit: number;
}

export interface NamedTopicsDependencies {
  /** The topics and patterns that streams of this instance name. */
  readonly named: () => Iterable<string>;
  readonly roster: Pick<Roster, 'ask'>;
  readonly control: Pick<ControlChannel, 'answer'>;
  readonly clock: Clock;
}

/** Lists the topics that streams of all instances name, even without messages. A question walks through all names, some in each turn of the event loop. */
export class NamedTopics {
  readonly #named: () => Iterable<string>;
  readonly #roster: Pick<Roster, 'ask'>;
  readonly #turns: InTurns;

  constructor({ named, roster, control, clock }: NamedTopicsDependencies) {
    this.#named = named;
    this.#roster = roster;
    this.#turns = new InTurns(clock, LIST_TURN_MS);
    control.answer(KIND, (body) => {
      const query = queryIn(body);
      return query && this.#here(query);
    });
  }

  /** The first names after `after`, of each instance. */
  async list(query: NamedQuery, asker?: Holder): Promise<{ readonly lists: readonly SomeNames[]; readonly collected: Collected }> {
    const [own, collected] = await Promise.all([this.#here(query), this.#roster.ask(KIND, query, asker)]);
    return { lists: [own, ...[...collected.answers.values()].filter(isNames)], collected };
  }

  #here({ scope, prefix, after, limit }: NamedQuery): Promise<SomeNames> {
    const within = new TopicScope(scope);
    let first: string[] = [];
    const cut = (most: number): void => void (first = first.sort(byBytes).slice(0, most));
    return new Promise((resolve) => {
      const named = this.#named();
      const all = function* (): Generator<string> {
        yield* named;
        cut(limit + 1);
        const names = first.slice(0, limit);
        resolve({ names, upTo: first.length > limit ? names.at(-1) : undefined });
      };
      this.#turns.forEach(all(), (name) => {
        if (isPattern(name) || !name.startsWith(prefix) || byBytes(name, after) <= 0 || !within.hasTopic(name)) return;
        first.push(name);
        // Sort and cut now and then, so that the list stays short.
        if (first.length > 2 * (limit + 1)) cut(limit + 1);
      });
    });
  }
}

/** The value comes from an instance, perhaps of another version. */
function queryIn(body: unknown): NamedQuery | undefined {
  if (!isObject(body)) return undefined;
  const { scope, prefix, after, limit } = body;
  if (!isTexts(scope) || typeof prefix !== 'string' || typeof after !== 'string' || !Number.isSafeInteger(limit)) return undefined;
  return { scope, prefix, after, limit: Math.min(Math.max(1, limit as number), TOPICS_PAGE_MAX_ENTRIES) };
}

function isNames(value: unknown): value is SomeNames {
  return isObject(value) && isTexts(value['names']) && (value['upTo'] === undefined || typeof value['upTo'] === 'string');
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}
