import type { ControlChannel } from '../bus/control-channel.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import { isObject } from './notes.ts';
import { furthest, type LackingRow, type OpenStreams, type Passing } from './open-streams.ts';
import type { Roster } from './roster.ts';
import { wholeOf, type Whole } from './stream-list.ts';

/** The most streams that an answer names. Stops thousands of slow streams from filling it; the others are only counted. */
export const LACKING_MAX_STREAMS = 100;
/** The most streams that another instance names. Stops answers from flooding the bus. */
const INSTANCE_MAX_STREAMS = 20;
/** The most bytes of topic names, as JSON. Stops long names from filling a note. */
const LACKING_MAX_BYTES = 16 * 1024;

/** The kind of the question. */
const KIND = 'message-passing';

/** A message whose delivery is asked for. */
export interface PassingMessage {
  readonly topic: string;
  readonly seq: number;
}

/** How many streams a message has reached. */
export interface DeliveryReport extends Whole {
  /** How many streams get the messages of the topic now, how many of these have passed the message, and how many instances have one. */
  readonly streams: number;
  readonly passed: number;
  readonly instances: number;
  readonly lacking: readonly LackingRow[];
  /** Whether `lacking` is incomplete. */
  readonly more: boolean;
}

export interface MessageDeliveryDependencies {
  readonly local: Pick<OpenStreams, 'passing'>;
  readonly roster: Pick<Roster, 'ask'>;
  readonly control: Pick<ControlChannel, 'answer'>;
}

/** Counts, on all instances, the streams that get a topic, and those whose position has passed a message. Deliveries are not recorded: the positions are read at the request. */
export class MessageDelivery {
  readonly #local: Pick<OpenStreams, 'passing'>;
  readonly #roster: Pick<Roster, 'ask'>;

  constructor({ local, roster, control }: MessageDeliveryDependencies) {
    this.#local = local;
    this.#roster = roster;
    control.answer(KIND, (body) => {
      if (!isObject(body) || typeof body['topic'] !== 'string' || !Number.isSafeInteger(body['seq'])) return undefined;
      return local.passing(body['topic'], body['seq'] as number, { limit: INSTANCE_MAX_STREAMS, maxBytes: LACKING_MAX_BYTES });
    });
  }

  async report({ topic, seq }: PassingMessage, asker?: Holder): Promise<DeliveryReport> {
    const [own, { answers, missing, isPartial }] = await Promise.all([this.#local.passing(topic, seq, { limit: LACKING_MAX_STREAMS, maxBytes: Infinity }), this.#roster.ask(KIND, { topic, seq }, asker)]);
    const all = [own, ...[...answers.values()].filter(isPassing)];
    const sum = (name: 'streams' | 'passed'): number => all.reduce((total, one) => total + one[name], 0);
    const [streams, passed] = [sum('streams'), sum('passed')];
    const lacking = furthest(all.flatMap((one) => one.lacking), LACKING_MAX_STREAMS);
    const isAnswered = all.length === answers.size + 1;
    return { streams, passed, instances: all.filter((one) => one.streams > 0).length, lacking, more: streams - passed > lacking.length, ...wholeOf({ missing, isPartial: isPartial || !isAnswered }) };
  }
}

/** The value comes from an instance, perhaps of another version. */
function isPassing(value: unknown): value is Passing {
  if (!isObject(value) || !Number.isSafeInteger(value['streams']) || !Number.isSafeInteger(value['passed']) || !Array.isArray(value['lacking'])) return false;
  return value['lacking'].every((row) => isObject(row) && typeof row['id'] === 'string' && typeof row['lacks'] === 'number');
}
