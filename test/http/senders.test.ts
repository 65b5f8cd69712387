import t from 'tap';
import { EVERYBODY, type Identity } from '../../src/access/credentials/identity.ts';
import { buildApp } from '../../src/http/app.ts';
import { Problem } from '../../src/model/problem.ts';
import { type Holder, namesOf } from '../../src/runtime/sharing/fair-shares.ts';
import { fakeService } from '../support/service.ts';

/** By whom requests are counted that wait for other instances, or for the place of presence. */

const CHANGE = { method: 'PATCH', url: '/streams/aaaaaaaaaa-1', payload: { secret: 'x'.repeat(22), add: ['a'] } } as const;
const REQUESTS = [{ method: 'GET', url: '/streams' }, { method: 'GET', url: '/topics' }, { method: 'GET', url: '/instances' }, { method: 'GET', url: '/instances/aaaaaaaaaa' }, CHANGE,
  { method: 'DELETE', url: '/streams/aaaaaaaaaa-1' }, { method: 'POST', url: '/instances/rebalance' }, { method: 'POST', url: '/instances/aaaaaaaaaa/drain' },
  { method: 'GET', url: '/topics/a/presence' }, { method: 'GET', url: '/presence?topic=a' }, { method: 'GET', url: '/members/alice' }] as const;

/** Who sent each of these requests, from two addresses, as far as the fleet is told. */
async function senders(scope: string): Promise<string[][]> {
  const told: string[] = [];
  const tell = (asker: Holder | undefined): number => told.push(namesOf(asker!).join(' '));
  const service = fakeService();
  const app = buildApp({
    ...service,
    access: { ignoresCredentials: () => false, identify: (): Identity => ({ ...EVERYBODY, mayAdminister: true, scope }) },
    fleet: {
      ...service.fleet,
      streams: async (_request, asker) => ({ streams: [], more: false, told: tell(asker) }),
      topics: async ({ holder }) => ({ topics: [], more: false, told: tell(holder) }),
      instances: async (asker) => ({ instances: [], told: tell(asker) }),
      instance: async (_id, _after, asker) => {
        tell(asker);
        throw new Problem('not-found', 'There is no such instance.');
      },
      changeTopics: async (_id, _secret, _change, _identity, asker) => ({ topics: [], cursor: '', told: tell(asker) }),
      close: async (_id, _retry, _actor, asker) => void tell(asker),
      rebalance: async (_actor, asker) => ({ moving: 0, instances: [], told: tell(asker) }),
      drain: async (_instance, _actor, asker) => void tell(asker),
    },
    presence: {
      ...service.presence,
      page: async (_topic, _after, _limit, asker) => ({ answer: { streams: 0, members: [], next: undefined }, isPartial: false, told: tell(asker) }),
      counts: async (_topics, asker) => ({ answer: [], isPartial: false, told: tell(asker) }),
      topicsOf: async (_member, _after, _limit, _maySee, asker) => ({ answer: { topics: [], next: undefined }, isPartial: false, told: tell(asker) }),
    },
  });
  try {
    const all: string[][] = [];
    for (const request of REQUESTS) {
      for (const remoteAddress of ['192.0.2.1', '192.0.2.2']) await app.inject({ ...request, remoteAddress });
      all.push(told.splice(0));
    }
    return all;
  } finally {
    await app.close();
  }
}

t.test('without a credential, one client does not use up what all others may ask', async (t) => {
  for (const some of await senders('')) t.same(some, ['address:192.0.2.1', 'address:192.0.2.2']);
});

t.test('with a credential its owner is counted, and within it the addresses', async (t) => {
  for (const some of await senders('key:k')) t.same(some, ['key:k address:192.0.2.1', 'key:k address:192.0.2.2']);
});
