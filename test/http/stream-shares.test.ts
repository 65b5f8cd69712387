import { t } from 'tap';
import { EVERYBODY, type Identity } from '../../src/access/credentials/identity.ts';
import { Lease } from '../../src/access/leases/lease.ts';
import type { Service } from '../../src/http/service.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';
import { requestBytes } from '../support/raw.ts';
import type { Scope } from '../support/temp.ts';
import { openSpine } from './fast-path/spine.ts';
import { connectTo, serve, turns, type Pair } from './fast-path/ways.ts';

/** Who gets a stream where all are taken. The addresses are those that a trusted proxy tells. Seen to fail where `StreamShares.makeRoom` makes none. */

const MAX_STREAMS = 20;
/** What one client has of them. */
const GREEDY_STREAMS = 18;

async function begin(t: Scope, mode: string, settings: Readonly<Record<string, string>> = {}) {
  const spine = await openSpine(t, { MAX_STREAMS: String(MAX_STREAMS), TRUST_PROXY: '127.0.0.1', HTTP_FAST_PATH: mode, ...settings });
  const owned = (id: string): Identity => ({ ...EVERYBODY, grant: FULL_GRANT, scope: `key:${id}`, name: `key ${id}`, credential: { owner: { kind: 'key', id, secret: 'current' }, expires: undefined } });
  const service: Service = {
    ...spine.service,
    access: { ...spine.service.access, identify: (shown) => shown === undefined ? EVERYBODY : owned(shown) },
    leases: { mayHold: () => true, hold: (lessee) => new Lease(lessee), release: () => undefined },
  };
  const served = await serve(t, service);
  const open = async (address: string, key?: string, url = '/topics/a/events'): Promise<Pair> => {
    const pair = await connectTo(t, served);
    pair.client.send(requestBytes('GET', url, { 'X-Forwarded-For': address, ...(key === undefined ? {} : { Authorization: `Bearer ${key}` }) }));
    await pair.client.until('it is answered', () => /event: \$(open|busy)/.test(pair.client.text));
    return pair;
  };
  const fill = async (address: string, key?: string): Promise<Pair[]> => {
    const greedy: Pair[] = [];
    for (let count = 0; count < GREEDY_STREAMS; count++) greedy.push(await open(address, key));
    for (let count = GREEDY_STREAMS; count < MAX_STREAMS; count++) await open(`192.0.2.${count}`, key);
    return greedy;
  };
  return { ...spine, open, fill };
}

const isOpen = ({ client: { text } }: Pair): boolean => text.includes('event: $open') && !text.includes('event: $busy');

for (const mode of ['on', 'off']) {
  t.test(`the address that has most streams of a full instance loses its newest to each newcomer from another; fast path ${mode}`, async (t) => {
    const { open, fill, service: { counters }, streams, tick } = await begin(t, mode);
    const greedy = await fill('203.0.113.1');
    t.ok(greedy.every(isOpen));
    const newcomers = [await open('198.51.100.1'), await open('198.51.100.2'), await open('198.51.100.3')];
    t.ok(newcomers.every(isOpen), 'they get in at once');
    t.equal(counters.evicted.streams, 3);
    for (const { client } of greedy.slice(-3)) await client.until('it is told to come back', () => /event: \$busy\n[^]*"full"/.test(client.text));
    t.ok(greedy.slice(0, -3).every(isOpen), 'its other streams go on');

    t.notOk(isOpen(await open('203.0.113.1')), 'the largest holder itself is refused');
    t.equal(counters.evicted.streams, 3);
    // As time does.
    for (let ticks = 0; ticks < 3; ticks++) tick();
    await turns('the connections are closed', () => streams.size === MAX_STREAMS);
  });
}

t.test('clients that share a credential compete by their addresses, and others with the credential', async (t) => {
  const { open, fill, service: { counters } } = await begin(t, 'on');
  await fill('203.0.113.1', 'shared');
  t.ok(isOpen(await open('198.51.100.1', 'shared')));
  t.ok(isOpen(await open('203.0.113.1', 'other')), 'another credential at the address of the largest holder');
  t.notOk(isOpen(await open('203.0.113.1', 'shared')));
  t.equal(counters.evicted.streams, 2);
});

t.test('where all have as many streams, the next one is refused', async (t) => {
  const { open, service: { counters } } = await begin(t, 'on');
  for (let count = 0; count < MAX_STREAMS; count++) await open(`192.0.2.${count}`);
  t.notOk(isOpen(await open('198.51.100.1')));
  t.equal(counters.evicted.streams, 0);
});

/** Each stream has topics of its own, which take some 50 KiB. */
const manyTopics = (stream: string): string => `/events?${Array.from({ length: 100 }, (_, index) => `topic=${stream}.${index}.${'x'.repeat(20)}`).join('&')}`;

for (const mode of ['on', 'off']) {
  t.test(`the address whose topics take most memory loses its newest stream to each newcomer from another; fast path ${mode}`, async (t) => {
    const { open, service: { counters, filters } } = await begin(t, mode, { FILTER_BYTES: '512KiB' });
    const greedy: Pair[] = [];
    for (let next = true; next;) {
      const pair = await open('203.0.113.1', undefined, manyTopics(`greedy${greedy.length}`));
      next = isOpen(pair);
      if (next) greedy.push(pair);
    }
    t.ok(greedy.length > 4);
    const newcomers = [await open('198.51.100.1', undefined, manyTopics('one')), await open('198.51.100.2', undefined, manyTopics('two'))];
    t.ok(newcomers.every(isOpen), 'they get in at once');
    t.equal(counters.evicted.filters, 2);
    for (const { client } of greedy.slice(-2)) await client.until('it is told to come back', () => /event: \$busy\n[^]*"full"/.test(client.text));
    t.ok(greedy.slice(0, -2).every(isOpen), 'its other streams go on');
    t.notOk(isOpen(await open('203.0.113.1', undefined, manyTopics('more'))), 'the largest holder itself is refused');
    t.ok(isOpen(await open('203.0.113.1')), 'but for a topic or two');
    t.equal(counters.evicted.filters, 2);
    t.ok(filters.hasRoomFor(new Filter(['a'])));
  });
}

t.test('of a full instance one stream gives way to a newcomer, also where its topics need the memory of others', async (t) => {
  const { open, service: { counters } } = await begin(t, 'on', { FILTER_BYTES: '512KiB' });
  const greedy: Pair[] = [];
  for (let next = true; next;) {
    const pair = await open('203.0.113.1', undefined, manyTopics(`greedy${greedy.length}`));
    next = isOpen(pair);
    if (next) greedy.push(pair);
  }
  while (greedy.length < MAX_STREAMS) greedy.push(await open('203.0.113.1'));
  t.ok(greedy.every(isOpen));
  t.ok(isOpen(await open('198.51.100.1', undefined, manyTopics('one'))));
  t.match(counters.evicted, { filters: 1, streams: 0 });
  t.equal(greedy.filter(isOpen).length, MAX_STREAMS - 1);
});
