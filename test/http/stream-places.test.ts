import { t } from 'tap';
import { EVERYBODY } from '../../src/access/credentials/identity.ts';
import type { LeaseUser } from '../../src/access/leases/lease.ts';
import type { Reader } from '../../src/delivery/reader/reader.ts';
import type { Service } from '../../src/http/service.ts';
import type { Start } from '../../src/model/gap.ts';
import { Problem } from '../../src/model/problem.ts';
import { requestBytes } from '../support/raw.ts';
import { fakeService } from '../support/service.ts';
import { connectTo, serve, turns } from './fast-path/ways.ts';

/** A place among the streams of a sender is released once, whatever becomes of its stream, on both edges. */

const START: Start = { at: { epoch: 'abcdefgh', seq: 7 }, gap: undefined };
const STREAM = requestBytes('GET', '/topics/a/events');
const POLL = requestBytes('GET', '/topics/a/messages?wait=50');
const PUBLISH = requestBytes('POST', '/topics/a', {}, 'x');

interface World {
  readonly service: Service;
  readonly counts: { taken: number; released: number; asked: number };
  readonly resolve: (start: Start | Problem) => void;
  readonly answerPublish: () => void;
  isFull: boolean;
  mayTake: boolean;
  /** What ends with the credential. */
  holder: LeaseUser | undefined;
}

function world(): World {
  const counts = { taken: 0, released: 0, asked: 0 };
  const start = Promise.withResolvers<Start>();
  const publish = Promise.withResolvers<{ epoch: string; first: number; time: number; replayed: boolean }>();
  const state: Pick<World, 'isFull' | 'mayTake' | 'holder'> = { isFull: false, mayTake: true, holder: undefined };
  const fake = fakeService();
  const service: Service = {
    ...fake,
    access: { ignoresCredentials: () => false, identify: () => ({ ...EVERYBODY, scope: 'key:a', name: 'key a' }) },
    limits: { ...fake.limits, stream: () => {
      if (!state.mayTake) return Promise.resolve(undefined);
      counts.taken++;
      return Promise.resolve({ release: () => counts.released++ });
    } },
    starts: { isReady: true, resolve: () => {
      counts.asked++;
      return start.promise;
    } },
    history: { ...fake.history, page: async () => {
      counts.asked++;
      await start.promise;
      return { messages: [], cursor: 'abcdefgh-7', more: false, gap: undefined, clean: () => true };
    } },
    publisher: { publish: () => publish.promise },
    leases: { ...fake.leases, hold: (_lessee, holder) => {
      state.holder = holder;
      return undefined;
    } },
    streams: {
      hasRoomFor: () => !state.isFull,
      makeRoom: () => !state.isFull,
      open: (_grant, filter, _options, outlet) => {
        outlet.write(Buffer.from('begun'));
        return { position: () => START.at, group: { filter } } as Reader;
      },
      refuse: (_options, outlet) => {
        outlet.write(Buffer.from('busy'));
        outlet.destroySoon();
      },
      end: () => undefined, positionOf: () => ({ epoch: 'abcdefgh', seq: 0 }), changeFilter: () => ({ epoch: 'abcdefgh', seq: 0 }), drained: () => undefined, closed: () => undefined,
    },
  };
  return Object.assign(state, {
    service, counts,
    resolve: (value: Start | Problem) => value instanceof Problem ? start.reject(value) : start.resolve(value),
    answerPublish: () => publish.resolve({ epoch: 'abcdefgh', first: 7, time: 0, replayed: false }),
  });
}

for (const fastPath of [true, false]) {
  const edge = fastPath ? 'fast path' : 'ordinary way';

  t.test(`${edge}: a stream keeps its place until it ends`, async (t) => {
    const { service, counts, resolve } = world();
    const { client } = await connectTo(t, await serve(t, service, { fastPath }));
    resolve(START);
    client.send(STREAM);
    await client.until('it has begun', () => client.text.includes('begun'));
    t.same(counts, { taken: 1, released: 0, asked: 1 });
    client.destroy();
    await turns('the place is free', () => counts.released > 0);
    t.equal(counts.released, 1);
  });

  t.test(`${edge}: a stream that is cut has no place any more, though its socket is still open`, async (t) => {
    const made = world();
    const { client } = await connectTo(t, await serve(t, made.service, { fastPath }));
    made.resolve(START);
    client.send(STREAM);
    await client.until('it has begun', () => client.text.includes('begun'));
    made.holder!.cut('revoked');
    t.same(made.counts, { taken: 1, released: 1, asked: 1 });
  });

  t.test(`${edge}: without a place, a stream is refused, and the log is not asked`, async (t) => {
    const made = world();
    made.mayTake = false;
    const { client } = await connectTo(t, await serve(t, made.service, { fastPath }));
    client.send(STREAM);
    await client.until('it is refused', () => client.text.includes('busy'));
    t.match(client.text, /^HTTP\/1.1 200 /);
    t.same(made.counts, { taken: 0, released: 0, asked: 0 });
  });

  t.test(`${edge}: a client that leaves before its stream begins has no place`, async (t) => {
    for (const request of [STREAM, POLL]) {
      const { service, counts, resolve } = world();
      const { client, server } = await connectTo(t, await serve(t, service, { fastPath }));
      client.send(request);
      await turns('the log is asked', () => counts.asked === 1);
      server.destroy();
      resolve(START);
      await turns('the place is free', () => counts.released === 1);
      t.equal(counts.taken, 1);
    }
  });

  t.test(`${edge}: a stream whose start is not found, or that finds the instance full, has no place`, async (t) => {
    for (const code of ['invalid-cursor', 'unavailable', 'full'] as const) {
      const made = world();
      const { client } = await connectTo(t, await serve(t, made.service, { fastPath }));
      client.send(STREAM);
      await turns('the log is asked', () => made.counts.asked === 1);
      if (code === 'full') made.isFull = true;
      made.resolve(code === 'full' ? START : new Problem(code, 'So it is.'));
      await client.untilClosed();
      t.match(client.text, code === 'invalid-cursor' ? /^HTTP\/1.1 400 / : /^HTTP\/1.1 200 [^]*busy/);
      t.same(made.counts, { taken: 1, released: 1, asked: 1 }, code);
    }
  });

  t.test(`${edge}: a client that leaves while its stream waits for an earlier answer has no place`, async (t) => {
    const { service, counts, resolve, answerPublish } = world();
    const { client, server } = await connectTo(t, await serve(t, service, { fastPath }));
    resolve(START);
    client.send(Buffer.concat([PUBLISH, STREAM]));
    if (!fastPath) await turns('the log is asked', () => counts.asked === 1);
    server.destroy();
    answerPublish();
    if (!fastPath) await turns('the place is free', () => counts.released === 1);
    t.equal(counts.taken, counts.released);
  });
}
