import type { Publisher } from '../log/publisher/publisher.ts';
import { OutdatedStep } from '../log/publisher/receipt.ts';
import { FULL_GRANT } from '../model/grant.ts';
import type { Draft } from '../model/message.ts';
import { Problem } from '../model/problem.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { SOURCE_MAX_PARTS, type ConnectorStore, type PositionMove, type SourcePosition } from '../store/contracts/connector-store.ts';
import { countConnector } from './connector-state.ts';
import { OwnedElsewhere } from './owned-elsewhere.ts';
import type { SourcePlan } from './plan.ts';
import { deadRecord, draftOf, type ContentBounds } from './record-draft.ts';
import { LOG_HEADER, type SourceRecord } from './transport.ts';

/** The most parts whose positions the status shows. */
const SHOWN_MAX_PARTS = 16;
/** The most characters of these parts. Stops long names of topics from making a status too large for the database. */
const SHOWN_PARTS_MAX_CHARACTERS = 1_500;
const POSITION_MAX_CHARACTERS = 24;

export interface SourceStepsDependencies {
  readonly store: Pick<ConnectorStore, 'findConnectors' | 'sourcePositions'>;
  readonly publisher: Pick<Publisher, 'publish'>;
  readonly bounds: ContentBounds;
  /** The log's own id, which marks the records that this log has sent itself. */
  readonly logId: () => string;
  readonly counters: Pick<Counters, 'connectors'>;
  readonly logger: Pick<Logger, 'warn'>;
}

/** How a step stores its records. If the log refuses a message, the runner tries a dead letter. If it refuses that too, only the position moves. */
export type StoredAs = 'messages' | 'dead letters' | 'nothing';

/**
 * The outcome of a step.
 * - `stored`: its messages and positions are durable.
 * - `outdated`: nothing is stored. Another instance owns the source, or the stored position is not the expected one.
 * - `refused`: nothing is stored. The log cannot store one of the records (`internal` of publish-answers.ts).
 * - `unknown`: the step may be stored, because the connection to the database was lost during the commit.
 * - `failed`: nothing is stored. The log cannot be written now.
 */
export type StepOutcome =
  | { readonly kind: 'stored' }
  | { readonly kind: 'outdated'; readonly failure: OutdatedStep }
  | { readonly kind: 'refused' | 'unknown' | 'failed'; readonly failure: Problem };

const STORED: StepOutcome = { kind: 'stored' };

/**
 * Stores the records of one source in steps. A step is one transaction, which stores messages and moves positions:
 *
 *     stored position 40, records 41, 42 and 43   →   step: 3 messages, position 40 → 43
 *     the same step again: the stored position is 43, not 40   →   `outdated`, nothing stored
 *
 * So a record that comes twice, or that a frozen owner stores late, is stored once.
 */
export class SourceSteps {
  readonly #plan: SourcePlan;
  readonly #fence: number;
  readonly #deps: SourceStepsDependencies;
  /** The stored position of each part, as this runner knows it. */
  #positions: Map<string, SourcePosition> = new Map();

  constructor(plan: SourcePlan, fence: number, deps: SourceStepsDependencies) {
    this.#plan = plan;
    this.#fence = fence;
    this.#deps = deps;
  }

  get positions(): ReadonlyMap<string, SourcePosition> {
    return this.#positions;
  }

  /** The first few positions, for the status. */
  get shownPositions(): Readonly<Record<string, string>> {
    const shown = new Map<string, string>();
    let [parts, characters] = [0, 0];
    for (const [part, { identity, position }] of this.#positions) {
      characters += part.length + identity.length + POSITION_MAX_CHARACTERS;
      if (parts === SHOWN_MAX_PARTS || characters > SHOWN_PARTS_MAX_CHARACTERS) break;
      shown.set(part, `${identity}@${position}`);
      parts += 1;
    }
    return Object.fromEntries(shown);
  }

  /** Reads the stored positions. @throws OwnedElsewhere, StoreError */
  async load(): Promise<void> {
    const { store } = this.#deps;
    const { name } = this.#plan;
    const [record] = await store.findConnectors([name]);
    if (record?.fence !== this.#fence) throw new OwnedElsewhere('another instance owns the source');
    this.#positions = new Map((await store.sourcePositions(name)).map(({ part, identity, position }) => [part, { identity, position }]));
  }

  /** Leaves out the records that are stored already, and counts them. */
  freshOf(records: readonly SourceRecord[]): readonly SourceRecord[] {
    const fresh = records.filter(({ part, at }) => {
      const stored = this.#positions.get(part);
      return at === undefined || stored === undefined || stored.identity !== at.identity || at.position > stored.position;
    });
    countConnector(this.#deps.counters.connectors, this.#plan.name, 'known', records.length - fresh.length);
    return fresh;
  }

  /** Stores records as one step. Rejects only with an unexpected error. */
  async store(records: readonly SourceRecord[], storedAs: StoredAs): Promise<StepOutcome> {
    const counted = { stored: 0, dead: 0, own: 0 };
    const drafts = storedAs === 'nothing' ? [] : records.flatMap((record) => this.#draftsOf(record, storedAs, counted));
    const outcome = await this.#publish(drafts, this.#movesOf(records));
    if (outcome.kind === 'stored') {
      const { counters: { connectors } } = this.#deps;
      const { name } = this.#plan;
      countConnector(connectors, name, 'stored', counted.stored);
      countConnector(connectors, name, 'dead', counted.dead);
      countConnector(connectors, name, 'own', counted.own);
    }
    return outcome;
  }

  /** Moves positions without a record: all of them or none. */
  moveTo(places: ReadonlyMap<string, SourcePosition>): Promise<StepOutcome> {
    return this.#publish([], [...places].map(([part, to]) => ({ part, from: this.#positions.get(part), to })));
  }

  /** Makes the message or the dead letter of a record; nothing of a record that this log has sent itself, because it would circulate for ever. */
  #draftsOf(record: SourceRecord, storedAs: StoredAs, counted: { stored: number; dead: number; own: number }): readonly Draft[] {
    if (record.headers[LOG_HEADER] === this.#deps.logId()) {
      counted.own += 1;
      return [];
    }
    const { name, deadTopic } = this.#plan;
    let reason = 'the log cannot store it';
    if (storedAs === 'messages') {
      try {
        const draft = draftOf(this.#plan, record, this.#deps.bounds);
        counted.stored += 1;
        return [draft];
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        reason = error.message;
      }
    }
    counted.dead += 1;
    return [deadRecord(name, deadTopic, record, reason)];
  }

  /** One move for each part: from its stored position to the position of its last record. */
  #movesOf(records: readonly SourceRecord[]): readonly PositionMove[] {
    const last = new Map<string, SourcePosition>();
    for (const { part, at } of records) if (at !== undefined) last.set(part, { identity: at.identity, position: at.position });
    if (last.size > SOURCE_MAX_PARTS) throw new RangeError(`a source has more than ${SOURCE_MAX_PARTS} parts`);
    return [...last].map(([part, to]) => ({ part, from: this.#positions.get(part), to }));
  }

  async #publish(drafts: readonly Draft[], moves: readonly PositionMove[]): Promise<StepOutcome> {
    const { name, opener } = this.#plan;
    try {
      await this.#deps.publisher.publish(FULL_GRANT, drafts, undefined, { step: { connector: name, fence: this.#fence, origin: opener.place, moves } });
    } catch (error) {
      return outcomeOf(error);
    }
    for (const { part, from, to } of moves) {
      if (from !== undefined && wasRecreated(from, to)) this.#warnOfRenewal(part, from, to);
      this.#positions.set(part, to);
    }
    return STORED;
  }

  #warnOfRenewal(part: string, from: SourcePosition, to: SourcePosition): void {
    countConnector(this.#deps.counters.connectors, this.#plan.name, 'renewed');
    this.#deps.logger.warn({ connector: this.#plan.name, part, from, to }, 'the other system recreated or reset a stream or topic: its source reads on from the new position');
  }
}

function outcomeOf(error: unknown): StepOutcome {
  if (error instanceof OutdatedStep) return { kind: 'outdated', failure: error };
  if (!(error instanceof Problem)) throw error;
  if (error.code === 'internal') return { kind: 'refused', failure: error };
  return { kind: error.code === 'outcome-unknown' ? 'unknown' : 'failed', failure: error };
}

/** Whether a part was recreated (it has another identity) or reset (its position went back). An empty identity comes from a Kafka that did not report ids of topics yet: it is no sign. */
function wasRecreated(from: SourcePosition, to: SourcePosition): boolean {
  const hasOtherIdentity = from.identity !== '' && from.identity !== to.identity;
  return hasOtherIdentity || to.position < from.position;
}
