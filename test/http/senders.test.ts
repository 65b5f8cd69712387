import t from 'tap';
import { EVERYBODY, type Identity } from '../../src/access/identity.ts';
import { buildApp } from '../../src/http/app.ts';
import { Problem } from '../../src/model/problem.ts';
import { fakeService } from '../support/service.ts';

/** By whom requests are counted that wait for other instances. */

const CHANGE = { method: 'PATCH', url: '/streams/aaaaaaaaaa-1', payload: { secret: 'x'.repeat(22), add: ['a'] } } as const;
const REQUESTS = [{ method: 'GET', url: '/streams' }, { method: 'GET', url: '/topics' }, { method: 'GET', url: '/instances' }, { method: 'GET', url: '/instances/aaaaaaaaaa' }, CHANGE] as const;

/** Who sent each of these requests, from two addresses, as far as the fleet is told. */
async function senders(scope: string): Promise<string[][]> {
  const told: string[] = [];
  const service = fakeService();
  const app = buildApp({
    ...service,
    access: { ignoresCredentials: () => false, identify: (): Identity => ({ ...EVERYBODY, mayAdminister: true, scope }) },
    fleet: {
      ...service.fleet,
      streams: async (_request, sender) => ({ streams: [], more: false, told: told.push(sender) }),
      topics: async (_request, sender) => ({ topics: [], more: false, told: told.push(sender) }),
      instances: async (sender) => ({ instances: [], told: told.push(sender) }),
      instance: async (_id, _after, sender) => {
        told.push(sender);
        throw new Problem('not-found', 'There is no such instance.');
      },
      changeTopics: async (_id, _secret, _change, _identity, sender) => ({ topics: [], cursor: '', told: told.push(sender) }),
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

t.test('with a credential its owner is counted, wherever the requests come from', async (t) => {
  for (const some of await senders('key:k')) t.same(some, ['key:k', 'key:k']);
});
