import t from 'tap';
import { EVERYBODY, type Credential, type Identity } from '../../src/access/credentials/identity.ts';
import { Lease, type LeaseUser, type Lessee } from '../../src/access/leases/lease.ts';
import { OwnedStreams } from '../../src/access/leases/owned-streams.ts';
import { StreamHandles, type StreamHandle } from '../../src/access/leases/stream-handles.ts';
import type { NoteHandler } from '../../src/bus/control-channel.ts';
import { TopicChanges, type ChangeableStream } from '../../src/fleet/topic-changes.ts';
import { ScopedGrant } from '../../src/model/grant.ts';
import type { Position } from '../../src/model/position.ts';
import { Filter } from '../../src/model/topic.ts';
import { type NamedHolder, UNNAMED } from '../../src/runtime/sharing/fair-shares.ts';

/** Who may change the topics of a stream, on the instance that has it and on another one. */

class TestStream implements ChangeableStream {
  filter: Filter;
  lease: Lease | undefined;
  isOver = false;
  isWatching = false;
  readonly position: Position = { epoch: 'abcdefgh', seq: 7 };

  constructor(names: readonly string[], credential?: Credential) {
    this.filter = new Filter(names);
    if (credential === undefined) return;
    this.lease = new Lease({ credential, grant: EVERYBODY.grant, name: 'x' });
    this.lease.add(this);
  }

  holder(): NamedHolder {
    return UNNAMED;
  }

  changeTopics(filter: Filter): Position {
    this.filter = filter;
    return { epoch: 'abcdefgh', seq: 8 };
  }

  warn(): void {
    // Nothing here ends by itself.
  }

  cut(): void {
    throw new Error('Nothing is cut here.');
  }
}

const apiKey = (id: string): Credential => ({ owner: { kind: 'key', id, secret: 's' }, expires: undefined });
const identity = (id: string, subscribe: readonly string[], presence: readonly string[] = []): Pick<Identity, 'credential' | 'grant' | 'name'> => ({ credential: apiKey(id), grant: new ScopedGrant({ publish: [], subscribe, presence }), name: `key ${id}` });
const anonymous: Pick<Identity, 'credential' | 'grant' | 'name'> = { credential: undefined, grant: new ScopedGrant({ publish: [], subscribe: ['public.>'], isAnonymous: true }), name: undefined };

/** Two instances: the first one has a stream, and each is asked to change it. */
function pair(stream: TestStream, maxTopics = 3) {
  const state = { hasRoom: true, isSilent: false, mayHold: true, answer: undefined as unknown };
  const sent: string[] = [];
  let handler: NoteHandler | undefined;
  const handles = [new StreamHandles(), new StreamHandles()] as const;
  const owned = new OwnedStreams<ChangeableStream>(handles[0]);
  const all = handles.map((own, self) => new TopicChanges({
    owned: self === 0 ? owned : new OwnedStreams<ChangeableStream>(own), handles: own, maxTopics, filters: { makeRoom: () => state.hasRoom },
    leases: {
      mayHold: () => state.mayHold,
      hold: (lessee: Lessee, holder: LeaseUser) => {
        const lease = new Lease(lessee);
        lease.add(holder);
        return lease;
      },
      release: (lease: Lease, holder: LeaseUser) => lease.delete(holder),
    },
    control: { answer: (_kind, answer) => void (handler ??= answer) },
    roster: {
      askOne: (_instance, _kind, body) => {
        sent.push(JSON.stringify(body));
        const answer = state.answer ?? (state.isSilent ? undefined : handler!(JSON.parse(sent.at(-1)!)));
        return Promise.resolve(answer === undefined ? { mayExist: state.isSilent } : { answer: JSON.parse(JSON.stringify(answer)) as unknown });
      },
    },
  }));
  const handle = owned.add(handles[0].next(), stream);
  return { all, handle, state, sent, hear: (body: unknown) => handler!(body) };
}

const ways = (all: readonly TopicChanges[]): readonly (readonly [string, TopicChanges])[] => [['here', all[0]!], ['elsewhere', all[1]!]];
const change = (changes: TopicChanges, { id, secret }: StreamHandle, who: Pick<Identity, 'credential' | 'grant' | 'name'>, add: string[], remove: string[] = []) => changes.change(id, secret, { add, remove }, who, ['somebody']);

t.test('a stream is changed by its owner, and ends with the credential of the change from then on', async (t) => {
  const stream = new TestStream(['a'], apiKey('k'));
  const { all, handle, sent } = pair(stream);
  for (const [where, changes] of ways(all)) {
    const { lease } = stream;
    t.same(await change(changes, handle, identity('k', ['>']), ['b'], ['c']), { topics: ['a', 'b'], cursor: 'abcdefgh-8' }, where);
    t.ok(stream.lease?.has(stream) === true && lease?.has(stream) === false, 'the lease before is released');
    t.same(await change(changes, handle, identity('k', ['>']), ['b'], ['c']), { topics: ['a', 'b'], cursor: 'abcdefgh-7' }, 'once more, nothing happens');
    await t.rejects(change(changes, handle, identity('k', ['b', 'c']), ['c']), { code: 'forbidden', field: 'topic' }, 'what it has has to be allowed, too');
    await t.rejects(change(changes, handle, identity('other', ['>']), ['c']), { code: 'forbidden', field: 'Authorization' });
    await t.rejects(change(changes, handle, anonymous, ['public.a']), { code: 'unauthorized' });
    t.same(await change(changes, handle, identity('k', ['>']), [], ['b']), { topics: ['a'], cursor: 'abcdefgh-8' });
  }
  t.notOk(sent.some((text) => text.includes(handle.secret)), 'the secret stays where it arrived');
});

t.test('a stream without a credential is changed without one', async (t) => {
  for (const [who, add] of [[anonymous, 'public.b'], [EVERYBODY, 'x']] as const) {
    const stream = new TestStream(['public.a']);
    const { all, handle } = pair(stream);
    for (const [, changes] of ways(all)) {
      t.match(await change(changes, handle, who, [add]), { topics: ['public.a', add] });
      await t.rejects(change(changes, handle, identity('k', ['>']), ['c']), { code: 'forbidden', field: 'Authorization' });
    }
  }
  const { all, handle } = pair(new TestStream(['public.a']));
  for (const [, changes] of ways(all)) await t.rejects(change(changes, handle, anonymous, ['a']), { code: 'unauthorized' });
});

t.test('who is told who listens may be told so of all topics', async (t) => {
  const stream = new TestStream(['a'], apiKey('k'));
  stream.isWatching = true;
  const { all, handle } = pair(stream);
  for (const [, changes] of ways(all)) {
    await t.rejects(change(changes, handle, identity('k', ['>'], ['a']), ['b']), { code: 'forbidden' });
    t.match(await change(changes, handle, identity('k', ['>'], ['a', 'b']), ['b']), { topics: ['a', 'b'] });
  }
});

t.test('what cannot be done changes nothing, and says why', async (t) => {
  const stream = new TestStream(['a', 'b'], apiKey('k'));
  const { all, handle, state } = pair(stream);
  const who = identity('k', ['>']);
  for (const [where, changes] of ways(all)) {
    await t.rejects(change(changes, { ...handle, secret: 'x'.repeat(22) }, who, ['c']), { code: 'forbidden', field: 'secret' }, where);
    await t.rejects(change(changes, { ...handle, id: `${handle.id}0` }, who, ['c']), { code: 'not-found', field: 'id' });
    await t.rejects(change(changes, { ...handle, id: 'x' }, who, ['c']), { code: 'not-found', field: 'id' });
    await t.rejects(change(changes, handle, who, [], ['a', 'b']), { code: 'invalid-topic', field: 'remove' });
    await t.rejects(change(changes, handle, who, ['c', 'd']), { code: 'invalid-topic', field: 'add' });
    for (const [flag, code] of [['hasRoom', 'overloaded'], ['mayHold', 'invalid-credential']] as const) {
      state[flag] = false;
      await t.rejects(change(changes, handle, who, ['c']), { code });
      state[flag] = true;
    }
    stream.isOver = true;
    await t.rejects(change(changes, handle, who, ['c']), { code: 'not-found' });
    stream.isOver = false;
    stream.lease!.isOver = true;
    await t.rejects(change(changes, handle, who, ['c']), { code: 'not-found' });
    stream.lease!.isOver = false;
  }
  t.same(stream.filter.names, ['a', 'b']);
  state.isSilent = true;
  await t.rejects(change(all[1]!, handle, who, ['c']), { code: 'outcome-unknown', field: 'id' });
  await t.rejects(change(pair(stream).all[1]!, { ...handle, id: 'aaaaaaaaaa-1' }, who, ['c']), { code: 'not-found' });
});

t.test('what would not fit between instances is refused, and not left without an answer', async (t) => {
  const stream = new TestStream(['a']);
  const { all, handle, sent } = pair(stream, 1_000);
  const names = (count: number, first: number): string[] => Array.from({ length: count }, (_, index) => `${first + index}`.padEnd(250, 'x'));
  for (let first = 0; first < 180; first += 90) for (const [, changes] of ways(all)) await change(changes, handle, EVERYBODY, names(90, first));
  for (const [where, changes] of ways(all)) await t.rejects(change(changes, handle, EVERYBODY, names(20, 180)), { code: 'invalid-topic', field: 'add' }, where);
  const asked = sent.length;
  await t.rejects(change(all[1]!, handle, identity('k', names(250, 0)), ['b']), { code: 'invalid-request', field: 'add' });
  t.equal(sent.length, asked);
});

t.test('an invalid question is not answered, and an invalid answer is not handed on', async (t) => {
  const stream = new TestStream(['a'], apiKey('k'));
  const { all, handle, state, sent, hear } = pair(stream);
  await change(all[1]!, handle, identity('k', ['>']), ['b']);
  const question = JSON.parse(sent[0]!) as Record<string, unknown>;
  for (const wrong of [{ stream: 7 }, { proof: [] }, { add: 'a' }, { remove: [7] }, { credential: {} }, { name: 7 }, { subscribe: 'x' }, { presence: {} }, { stream: 'aaaaaaaaaa-1' }]) t.equal(hear({ ...question, ...wrong }), undefined, JSON.stringify(wrong));
  for (const wrong of [null, [], 'x']) t.equal(hear(wrong), undefined);
  for (const answer of [{}, { topics: 'a', cursor: 'x' }, { code: 'nonsense', detail: 'x', field: 'x' }, { topics: [], code: 'not-found' }]) {
    state.answer = answer;
    await t.rejects(change(all[1]!, handle, identity('k', ['>']), ['b']), { code: 'outcome-unknown' });
  }
});
