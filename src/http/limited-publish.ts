import type { LimitedSender } from '../limits/limits.ts';
import type { Receipt } from '../log/publisher.ts';
import type { Draft } from '../model/message.ts';
import { Problem } from '../model/problem.ts';
import type { IdempotencyKey } from '../store/store.ts';
import type { Admission } from './admission.ts';
import { limitedSender } from './limited-sender.ts';
import type { Service } from './service.ts';

/**
 * Publishes what a request holds, within the limits of its sender. Admission has charged the first message.
 * @throws Problem
 */
export async function publishLimited(service: Pick<Service, 'publisher' | 'limits'>, { identity, clientAddress }: Admission, drafts: readonly Draft[], key: IdempotencyKey | undefined): Promise<Receipt> {
  const sender = limitedSender(identity, clientAddress);
  if (sender === undefined) return service.publisher.publish(identity.grant, drafts, key);
  throwIf(service.limits.topics(sender, drafts.map(({ topic }) => topic)));
  if (drafts.length > 1) throwIf(await service.limits.publish(sender, drafts.length - 1, 1));
  return key === undefined ? service.publisher.publish(identity.grant, drafts, key, identity) : publishOnce(service, sender, identity, drafts, key);
}

/** A key counts where its row is new, or may be. */
async function publishOnce({ publisher, limits }: Pick<Service, 'publisher' | 'limits'>, sender: LimitedSender, identity: Admission['identity'], drafts: readonly Draft[], key: IdempotencyKey): Promise<Receipt> {
  throwIf(await limits.idempotencyKey(sender));
  try {
    const receipt = await publisher.publish(identity.grant, drafts, key, identity);
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
