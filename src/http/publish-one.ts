import type { Draft } from '../model/message.ts';
import { formatId } from '../model/position.ts';
import type { IdempotencyKey } from '../store/store.ts';
import type { Admission } from './admission/admission.ts';
import { publishLimited } from './limited-publish.ts';
import { publishedMessage, type PublishReport } from './output/published.ts';
import type { Service } from './service.ts';

/** The answer to the publisher of one message. */
export interface Published {
  /** The path of the message. */
  readonly location: string;
  /** The message without its data, as JSON. */
  readonly json: string;
  /** Whether this is the answer of an earlier request with the same key. */
  readonly replayed: boolean;
}

export interface PublishOneOptions {
  /** Whether the answer says who would be sent the message. Admission has asked whether the publisher may know. */
  readonly wantsReport: boolean;
  /** Called only when the request is logged. */
  readonly requestId: () => string;
}

/**
 * Publishes one message, on whichever edge it came in.
 * @throws Problem
 */
export async function publishOne(service: Service, admission: Admission, draft: Draft, key: IdempotencyKey | undefined, { wantsReport, requestId }: PublishOneOptions): Promise<Published> {
  const { logger } = service;
  const { epoch, first, time, replayed } = await publishLimited(service, admission, [draft], key);
  const id = formatId(epoch, first);
  if (logger.isLevelEnabled('debug')) logger.debug({ request: requestId(), client: admission.clientAddress(), credential: admission.identity.name, topic: draft.topic, id, bytes: draft.data.length, replayed }, 'published');
  return { location: `/messages/${id}`, json: publishedMessage(draft, time, id, wantsReport ? reportOn(service, draft.topic) : undefined), replayed };
}

function reportOn({ fleet, counters }: Service, topic: string): PublishReport {
  counters.reports++;
  const { streams, instances, ageMs, isPartial } = fleet.report(topic);
  return { streams, instances, ageMs, ...(isPartial ? { partial: true } : {}) };
}
