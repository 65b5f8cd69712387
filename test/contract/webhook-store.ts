import type { Test } from 'tap';
import type { Store } from '../../src/store/store.ts';
import { CALL_MAX_WEBHOOKS, KEPT_MAX_ATTEMPTS, WEBHOOK_TEXT_MAX_BYTES, type DeliveryNote, type WebhookRecord, type WebhookStore } from '../../src/store/contracts/webhook-store.ts';
import { until } from '../support/until.ts';
import type { Scope } from '../support/temp.ts';
import { failure, type TestDatabase } from './store-kit.ts';

/** What the contract of webhooks needs of an implementation: databases to run it on. */
export type WebhookDatabaseFactory = (t: Scope) => Promise<Omit<TestDatabase, 'store'> & { store(): Store & { readonly webhooks: WebhookStore } }>;

/** Longer than a test lasts, and none at all. */
const LONG_MS = 3_600_000;
const SHORT_MS = 1;

function note({ id, fence }: Pick<WebhookRecord, 'id' | 'fence'>, parts: Partial<DeliveryNote> = {}): DeliveryNote {
  return { id, fence, cursor: 'abcdefgh-1', failures: 0, failingSince: undefined, nextAt: 0, disabled: undefined, attempts: [], ...parts };
}

/** What every store of webhooks must do: see the comments of `WebhookStore`. */
export function webhookStoreContract(t: Test, name: string, factory: WebhookDatabaseFactory): void {
  t.test(`${name}: webhooks`, async (t) => {
    const database = await factory(t);
    const store = database.store();
    t.teardown(() => store.close());
    await store.open();
    const { webhooks } = store;
    const make = async (id: string): Promise<WebhookRecord> => (await webhooks.createWebhook({ id, settings: `{"of":"${id}","odd":"'\\\\"}`, cursor: 'abcdefgh-0' }))!;
    const find = async (id: string): Promise<WebhookRecord | undefined> => (await webhooks.findWebhooks([id]))[0];
    /** As if every owner had been killed long ago. */
    const endLeases = async (...owners: readonly string[]): Promise<void> => {
      for (const owner of owners) await webhooks.leaseWebhooks({ owner, leaseMs: SHORT_MS });
    };

    await t.test('are made, found, listed, changed and deleted', async (t) => {
      t.equal(await webhooks.hasActiveWebhooks(), false);
      const a = await make('a');
      t.match(a, { id: 'a', version: 1, settings: '{"of":"a","odd":"\'\\\\"}', status: 'active', cursor: 'abcdefgh-0', failures: 0, nextAt: 0, owner: '', fence: 0 });
      t.same([a.reason, a.failingSince], [undefined, undefined]);
      t.equal((await webhooks.createWebhook({ id: 'a', settings: 'other', cursor: 'x' }))!.settings, a.settings, 'what is there stays');
      await make('b');
      t.equal(await webhooks.hasActiveWebhooks(), true);
      t.same((await webhooks.listWebhooks({ after: '', limit: 1 })).map(({ id }) => id), ['a']);
      t.same((await webhooks.listWebhooks({ after: 'a', limit: 9 })).map(({ id }) => id), ['b']);
      t.match(await webhooks.changeWebhook({ id: 'a', version: 1, settings: 'changed', status: 'paused', restart: undefined }), { version: 2, settings: 'changed', status: 'paused', fence: 0, cursor: 'abcdefgh-0' });
      t.equal(await webhooks.changeWebhook({ id: 'a', version: 1, settings: 'late', status: 'active', restart: undefined }), undefined, 'of two changes of one version the second changes nothing');
      t.match(await webhooks.changeWebhook({ id: 'a', version: 2, settings: 'changed', status: 'active', restart: 'here' }), { version: 3, fence: 1, cursor: 'abcdefgh-0' });
      t.match(await webhooks.changeWebhook({ id: 'a', version: 3, settings: 'changed', status: 'active', restart: 'abcdefgh-7' }), { version: 4, fence: 2, cursor: 'abcdefgh-7' });
      t.equal(await webhooks.deleteWebhook('a'), true);
      t.equal(await webhooks.deleteWebhook('a'), false);
      t.equal(await find('a'), undefined);
      await webhooks.deleteWebhook('b');
    });

    await t.test('have one owner at a time, and each its share', async (t) => {
      for (const id of ['a', 'b', 'c']) await make(id);
      t.match(await webhooks.leaseWebhooks({ owner: 'one', leaseMs: LONG_MS }), { share: 3, held: [{ id: 'a', version: 1, fence: 1 }, { id: 'b' }, { id: 'c' }] });
      t.same(await webhooks.leaseWebhooks({ owner: 'two', leaseMs: LONG_MS }), { share: 2, held: [] });
      t.match(await webhooks.leaseWebhooks({ owner: 'one', leaseMs: LONG_MS }), { share: 2, held: [{ fence: 1 }, {}, {}] }, 'the first has more than its share, and the same fences');
      await webhooks.letGoOfWebhooks('one', ['c']);
      await webhooks.letGoOfWebhooks('two', ['a']);
      t.match(await webhooks.leaseWebhooks({ owner: 'two', leaseMs: LONG_MS }), { share: 2, held: [{ id: 'c', fence: 2 }] });
      await webhooks.changeWebhook({ id: 'c', version: 1, settings: '', status: 'paused', restart: undefined });
      t.same((await webhooks.leaseWebhooks({ owner: 'two', leaseMs: LONG_MS })).held, [], 'what is paused is not delivered');
      await webhooks.letGoOfWebhooks('one', undefined);
      t.match((await webhooks.leaseWebhooks({ owner: 'two', leaseMs: LONG_MS })).held, [{ id: 'a', fence: 2 }, { id: 'b', fence: 2 }], 'who closes lets go of everything at once');
      await endLeases('two');
      await until('the lease has ended', async () => (await webhooks.leaseWebhooks({ owner: 'three', leaseMs: LONG_MS })).held.length === 2);
      t.match(await find('a'), { owner: 'three', fence: 3 });
    });

    await t.test('an owner that is gone, and called last while the clock was ahead, is followed when a lease from now on would end', async (t) => {
      await webhooks.leaseWebhooks({ owner: 'ahead', leaseMs: LONG_MS });
      await until('its lease has ended, and that of the one before', async () => (await webhooks.leaseWebhooks({ owner: 'next', leaseMs: SHORT_MS })).held.length === 2);
      t.match(await find('a'), { owner: 'next' });
    });

    await t.test('move their cursors under the newest fence alone', async (t) => {
      const a = (await find('a'))!;
      t.same(await webhooks.noteDeliveries([note(a, { cursor: 'abcdefgh-5', failures: 2, failingSince: 7, nextAt: 9, attempts: ['{"1":"\'\\\\"}', '2'] }), note({ id: 'b', fence: 1 }), note({ id: 'gone', fence: 1 })]), ['a']);
      t.match(await find('a'), { cursor: 'abcdefgh-5', failures: 2, failingSince: 7, nextAt: 9, version: 1 });
      t.match(await find('b'), { cursor: 'abcdefgh-0' }, 'an owner that was frozen changes nothing');
      await webhooks.changeWebhook({ id: 'a', version: 1, settings: '', status: 'active', restart: 'abcdefgh-2' });
      t.same(await webhooks.noteDeliveries([note(a, { cursor: 'abcdefgh-6', attempts: ['3'] })]), [], 'nor one that delivers from another place since');
      t.match(await find('a'), { cursor: 'abcdefgh-2', failures: 0, failingSince: undefined, nextAt: 0 });
      t.same(await webhooks.listAttempts('a', 9), [{ number: 2, attempt: '2' }, { number: 1, attempt: '{"1":"\'\\\\"}' }]);
      t.same(await webhooks.newestAttempts(['b', 'a', 'gone', 'a']), [{ webhook: 'a', number: 2, attempt: '2' }], 'only the newest, of those that have one');
      t.same(await webhooks.newestAttempts([]), []);
      t.same(await webhooks.noteDeliveries([]), []);
    });

    await t.test('keep their newest attempts, and are disabled with a reason', async (t) => {
      const a = (await find('a'))!;
      const many = Array.from({ length: KEPT_MAX_ATTEMPTS }, (_, index) => `more ${index}`);
      t.same(await webhooks.noteDeliveries([note(a, { attempts: many, disabled: 'gone' })]), ['a']);
      const kept = await webhooks.listAttempts('a', KEPT_MAX_ATTEMPTS);
      t.same([kept.length, kept[0], kept.at(-1)?.number], [KEPT_MAX_ATTEMPTS, { number: KEPT_MAX_ATTEMPTS + 2, attempt: many.at(-1) }, 3]);
      t.match(await find('a'), { status: 'disabled', reason: 'gone', version: 3 });
      t.match(await webhooks.changeWebhook({ id: 'a', version: 3, settings: 'other', status: 'disabled', restart: 'here' }), { status: 'disabled', reason: 'gone', version: 4 }, 'a change that does not resume it keeps the reason');
      t.match(await webhooks.changeWebhook({ id: 'a', version: 4, settings: '', status: 'active', restart: 'here' }), { status: 'active', reason: undefined });
      await webhooks.deleteWebhook('a');
      t.same(await webhooks.listAttempts('a', 9), [], 'its attempts go with it');
    });

    await t.test('values beyond their bounds are refused', async (t) => {
      for (const call of [
        () => webhooks.createWebhook({ id: 'x', settings: 'x'.repeat(WEBHOOK_TEXT_MAX_BYTES + 1), cursor: '' }), () => webhooks.listWebhooks({ after: '', limit: CALL_MAX_WEBHOOKS + 1 }), () => webhooks.listAttempts('a', KEPT_MAX_ATTEMPTS + 1),
        () => webhooks.findWebhooks(Array.from({ length: CALL_MAX_WEBHOOKS + 1 }, String)), () => webhooks.newestAttempts(Array.from({ length: CALL_MAX_WEBHOOKS + 1 }, String)), () => webhooks.noteDeliveries([note({ id: 'a', fence: 0.5 })]), () => webhooks.noteDeliveries([note({ id: 'a', fence: 1 }, { nextAt: NaN })]),
      ]) t.equal(await failure(call()), 'refused');
    });
  });
}
