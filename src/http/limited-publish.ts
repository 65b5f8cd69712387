import type { LimitedSender } from '../limits/limits.ts';
import type { Receipt } from '../log/publisher/receipt.ts';
import type { Draft } from '../model/message.ts';
import { Problem } from '../model/problem.ts';
import type { IdempotencyKey } from '../store/store.ts';
import type { Admission } from './admission/admission.ts';
import { limitedSender } from './admission/limited-sender.ts';
import type { Service } from './service.ts';

/** Publishes the messages of a request within the limits of its sender. Admission has charged the first message. Rejects with a `Problem`. */
export function publishLimited(service: Pick<Service, 'publisher' | 'limits'>, admission: Admission, drafts: readonly Draft[], key: IdempotencyKey | undefined): Promise<Receipt> {
  const { identity, clientAddress, holder } = admission;
  const sender = limitedSender(identity, clientAddress);
  return sender === undefined ? service.publisher.publish(identity.grant, drafts, key, { holder }) : publishCounted(service, admission, sender, drafts, key);
}

async function publishCounted(service: Pick<Service, 'publisher' | 'limits'>, { identity, holder }: Admission, sender: LimitedSender, drafts: readonly Draft[], key: IdempotencyKey | undefined): Promise<Receipt> {
  throwIf(service.limits.topics(sender, drafts.map(({ topic }) => topic)));
  if (drafts.length > 1) throwIf(await service.limits.publish(sender, drafts.length - 1, 1));
  const publish = (): Promise<Receipt> => service.publisher.publish(identity.grant, drafts, key, { holder, sender: identity });
  return key === undefined ? publish() : publishOnce(service.limits, sender, publish);
}

/** Charges an idempotency key, and takes the charge back if the publish certainly stored no new key. */
async function publishOnce(limits: Service['limits'], sender: LimitedSender, publish: () => Promise<Receipt>): Promise<Receipt> {
  throwIf(await limits.idempotencyKey(sender));
  try {
    const receipt = await publish();
    if (receipt.replayed) limits.idempotencyKeyUnused(sender);
    return receipt;
  } catch (error) {
    if (error instanceof Problem && error.code !== 'outcome-unknown') limits.idempotencyKeyUnused(sender);
    throw error;
  }
}

function throwIf(problem: Problem | undefined): void {
  if (problem !== undefined) throw problem;
}
