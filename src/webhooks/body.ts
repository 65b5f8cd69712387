import type { Gap } from '../model/gap.ts';
import { toJson, type Message } from '../model/message.ts';
import type { WebhookFormat } from './settings.ts';

/** A request's body, its content type, and its `webhook-id`. All attempts of a delivery have the same id. */
export interface Delivery {
  readonly id: string;
  readonly type: string;
  readonly body: Buffer;
}

const JSON_TYPE = 'application/json';
const CLOUDEVENTS_TYPE = 'application/cloudevents+json; charset=utf-8';

export function messageDelivery(message: Message, format: WebhookFormat): Delivery {
  if (format === 'json') return { id: message.id, type: JSON_TYPE, body: toJson(message) };
  const head = JSON.stringify({ specversion: '1.0', id: message.id, source: SOURCE, type: message.event ?? 'message', subject: message.topic, time: new Date(message.time).toISOString(), datacontenttype: message.json ? JSON_TYPE : 'text/plain' });
  const data = message.json ? message.data : Buffer.from(JSON.stringify(Buffer.from(message.data).toString()));
  return { id: message.id, type: CLOUDEVENTS_TYPE, body: Buffer.concat([Buffer.from(`${head.slice(0, -1)},"data":`), data, Buffer.from('}')]) };
}

/** A gap: retention deleted messages before they were delivered. Its id comes from the cursor before the gap, so all attempts have the same id. */
export function gapDelivery(gap: Gap, cursor: string, format: WebhookFormat, now: number): Delivery {
  return control(`gap-${cursor}`, '$gap', gap, format, now);
}

/** A test delivery, which an administrator asked for. */
export function testDelivery(id: string, format: WebhookFormat, now: number): Delivery {
  return control(id, '$test', { test: true }, format, now);
}

const SOURCE = '/tidings';

function control(id: string, event: string, data: object, format: WebhookFormat, now: number): Delivery {
  const time = new Date(now).toISOString();
  if (format === 'json') return { id, type: JSON_TYPE, body: Buffer.from(JSON.stringify({ id, event, time, data })) };
  return { id, type: CLOUDEVENTS_TYPE, body: Buffer.from(JSON.stringify({ specversion: '1.0', id, source: SOURCE, type: event, time, datacontenttype: JSON_TYPE, data })) };
}
