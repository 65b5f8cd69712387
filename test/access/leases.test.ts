import t from 'tap';
import { anonymous, EVERYBODY, type Credential, type Identity } from '../../src/access/credentials/identity.ts';
import { CredentialsUnavailable } from '../../src/access/records/credentials-unavailable.ts';
import type { CutReason, Lease, LeaseUser } from '../../src/access/leases/lease.ts';
import { Leases } from '../../src/access/leases/leases.ts';
import { ScopedGrant } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';
import { settle, TestClock } from '../support/clock.ts';
import { rounds } from '../support/rounds.ts';

/** Something that is open, and what it was told. */
class TestHolder implements LeaseUser {
  readonly filter: Filter;
  readonly said: string[] = [];
  readonly isWatching: boolean;
  lease: Lease | undefined;

  constructor(topic = 'a', isWatching = false) {
    this.isWatching = isWatching;
    this.filter = new Filter([topic]);
  }

  warn(secondsLeft: number): void {
    this.said.push(`${secondsLeft} s`);
  }

  cut(reason: CutReason): void {
    this.said.push(reason);
  }
}

/** To cut it takes a while. */
class SlowHolder extends TestHolder {
  readonly #clock: TestClock;
  readonly #cutMs: number;

  constructor(clock: TestClock, cutMs: number) {
    super();
    this.#clock = clock;
    this.#cutMs = cutMs;
  }

  override cut(reason: CutReason): void {
    super.cut(reason);
    this.#clock.spend(this.#cutMs);
  }
}

/** Keys as an instance knows them: an entry that is missing has to be asked for. */
class TestStanding {
  readonly clock: TestClock;
  readonly rows = new Map<string, { isRevoked: boolean; expires: number | undefined }>();
  readonly known = new Map<string, { isRevoked: boolean; expires: number | undefined }>();
  readonly revokedSubjects = new Set<string>();
  readonly endedSessions = new Set<string>();
  isAway = false;
  asked = 0;

  constructor(clock: TestClock) {
    this.clock = clock;
  }

  now(): number {
    return this.clock.monotonic();
  }

  isOver({ expires }: Credential): boolean {
    return expires !== undefined && expires <= this.now();
  }

  recall(credential: Credential): Credential | undefined | 'unknown' {
    const { owner, session } = credential;
    if (session !== undefined) return this.endedSessions.has(session) ? undefined : credential;
    if (owner.kind === 'subject') return this.revokedSubjects.has(owner.subject) || credential.expires! <= this.now() ? undefined : credential;
    const known = this.known.get(owner.id);
    if (known === undefined) return 'unknown';
    return known.isRevoked || (known.expires !== undefined && known.expires <= this.now()) ? undefined : { owner, expires: known.expires };
  }

  async ask(credential: Credential): Promise<Credential | undefined> {
    this.asked++;
    await settle();
    if (this.isAway) throw new CredentialsUnavailable('away');
    const { owner } = credential;
    if (owner.kind === 'key') this.known.set(owner.id, this.rows.get(owner.id)!);
    return this.recall(credential) as Credential | undefined;
  }
}

function begin(): { clock: TestClock; standing: TestStanding; leases: Leases; lines: object[]; access: { isOpen: boolean | undefined } } {
  const clock = new TestClock();
  const standing = new TestStanding(clock);
  const access = { isOpen: undefined as boolean | undefined, mayClose: true, anonymous: anonymous({ publicTopics: ['public.>'], publicPublish: [] }) };
  const lines: object[] = [];
  return { clock, standing, access, lines, leases: new Leases({ standing, access, clock, logger: { info: (facts: object | string) => void lines.push(Object(facts) as object) } }) };
}

function key(standing: TestStanding, id: string, expires?: number): Identity {
  const row = { isRevoked: false, expires };
  standing.rows.set(id, row);
  standing.known.set(id, row);
  return identity({ owner: { kind: 'key', id, secret: 's' }, expires });
}

/** Turns of the event loop until something holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((done) => setImmediate(done));
}

function subject(name: string, expires: number): Identity {
  return identity({ owner: { kind: 'subject', subject: name, tokenId: undefined, issuedAt: 0 }, expires });
}

function identity(credential: Credential): Identity {
  return { grant: new ScopedGrant({ publish: [], subscribe: ['>'] }), mayAdminister: false, mayOperate: false, scope: '', name: 'x', credential };
}

function hold(leases: Leases, who: Identity, holder = new TestHolder(), before?: Lease): TestHolder {
  holder.lease = leases.hold(who, holder, before);
  return holder;
}

t.test('a minute before the end its holders are told, whenever they began, and at the end they are cut', async (t) => {
  const { clock, standing, leases, lines } = begin();
  const who = key(standing, 'k', 100_000);
  const first = hold(leases, who);
  await clock.advance(39_000);
  t.same(first.said, []);
  await clock.advance(1_500);
  t.same(first.said, ['60 s']);
  const second = hold(leases, who);
  t.same(second.said, ['60 s'], 'one that begins later is told at once');
  await clock.advance(59_000);
  t.same(first.said, ['60 s']);
  await clock.advance(1_000);
  t.same([first.said, second.said], [['60 s', 'expired'], ['60 s', 'expired']]);
  t.equal(leases.mayHold(who, first.filter), false);
  t.match(lines, [{ audit: 'streams-cut', reason: 'expired', count: 2 }]);
});

t.test('a holder with a new credential that ends at the same time is not told again; with another end it is told', async (t) => {
  const { clock, leases } = begin();
  const holder = hold(leases, subject('alice', 100_000));
  const goOn = (expires: number): void => {
    const before = holder.lease!;
    hold(leases, subject('alice', expires), holder, before);
    leases.release(before, holder);
  };
  await clock.advance(40_500);
  t.same(holder.said, ['60 s']);
  for (let count = 0; count < 3; count++) goOn(100_000);
  t.same(holder.said, ['60 s']);
  goOn(99_000);
  goOn(110_000);
  t.same(holder.said, ['60 s', '59 s'], 'a later end is not due yet');
  await clock.advance(10_000);
  t.same(holder.said, ['60 s', '59 s', '60 s']);
});

t.test('a key that changes is asked for: only what the database says ends its holders', async (t) => {
  const { clock, standing, leases } = begin();
  const [gone, stays, shorter] = ['gone', 'stays', 'shorter'].map((id) => ({ who: key(standing, id), holders: [] as TestHolder[] })) as [Held, Held, Held];
  for (const one of [gone, stays, shorter]) one.holders.push(hold(leases, one.who), hold(leases, one.who));
  standing.isAway = true;
  standing.known.clear();
  leases.keysChanged(undefined);
  await clock.advance(10_000);
  t.same([gone, stays, shorter].flatMap(({ holders }) => holders).flatMap(({ said }) => said), [], 'an outage ends nothing');
  standing.rows.set('gone', { isRevoked: true, expires: undefined });
  standing.rows.set('shorter', { isRevoked: false, expires: 15_000 });
  standing.isAway = false;
  await clock.advance(1_000);
  t.same(gone.holders.map(({ said }) => said), [['revoked'], ['revoked']]);
  t.same(stays.holders.map(({ said }) => said), [[], []]);
  t.match(shorter.holders.map(({ said }) => said), [[/s$/], [/s$/]]);
  await clock.advance(5_000);
  t.match(shorter.holders.map(({ said }) => said), [[/s$/, 'expired'], [/s$/, 'expired']]);
  const { asked } = standing;
  await clock.advance(60_000);
  t.equal(standing.asked, asked, 'what is known is not asked for again');
});

t.test('an ended session ends its own holders, and not those of another session of its key', async (t) => {
  const { standing, leases } = begin();
  const { credential } = key(standing, 'k');
  const [ended, stays] = ['ended', 'stays'].map((session) => identity({ ...credential!, session, expires: 100_000 })) as [Identity, Identity];
  const [gone, kept, direct] = [hold(leases, ended), hold(leases, stays), hold(leases, identity(credential!))];
  standing.endedSessions.add('ended');
  leases.sessionsChanged(['ended', 'of nobody here']);
  await settle();
  t.same([gone.said, kept.said, direct.said], [['revoked'], [], []]);
  t.equal(standing.asked, 1);
  standing.endedSessions.add('stays');
  leases.sessionsChanged(undefined);
  await settle();
  t.same([kept.said, direct.said], [['revoked'], []]);
});

t.test('a holder whose row is not in memory is told of its end, and cut', async (t) => {
  const { clock, standing, leases } = begin();
  const held = hold(leases, key(standing, 'k', 100_000));
  standing.known.clear();
  await clock.advance(41_000);
  t.same(held.said, ['60 s']);
  await clock.advance(60_000);
  t.same(held.said, ['60 s', 'expired']);
  t.equal(standing.asked, 0);
});

interface Held {
  readonly who: Identity;
  readonly holders: TestHolder[];
}

t.test('a holder that has left, or goes on by another credential, is not cut with the first', async (t) => {
  const { standing, leases } = begin();
  const [alice, renewed] = [subject('alice', 100_000), subject('alice', 500_000)];
  const [stays, leaves, moves] = [hold(leases, alice), hold(leases, alice), hold(leases, alice)];
  leases.release(leaves.lease!, leaves);
  const before = moves.lease!;
  moves.lease = leases.hold(renewed, moves);
  leases.release(before, moves);
  await standing.clock.advance(101_000);
  t.same([stays.said.at(-1), leaves.said, moves.said], ['expired', [], []]);
  standing.revokedSubjects.add('alice');
  leases.review();
  t.same(moves.said, ['revoked']);
});

t.test('streams that everybody could open end when there is access control, except public ones', async (t) => {
  const { access, leases } = begin();
  const [secret, open, watching] = [hold(leases, EVERYBODY), hold(leases, EVERYBODY, new TestHolder('public.a')), hold(leases, EVERYBODY, new TestHolder('public.a', true))];
  leases.keysChanged(['k']);
  t.same([secret.said, open.said], [[], []], 'it is not known yet');
  access.isOpen = false;
  leases.keysChanged(['k']);
  t.same([secret.said, open.said, watching.said], [['closed'], [], ['closed']], 'who listens is not public');
  t.same([leases.mayHold(EVERYBODY, open.filter), leases.mayHold(EVERYBODY, open.filter, true)], [true, false]);
  t.equal(leases.mayHold(EVERYBODY, new Filter(['a'])), false);
  t.equal(leases.mayHold(EVERYBODY, new Filter(['public.b'])), true);
});

t.test('streams that new access control cuts are told and cut once, however long that takes', async (t) => {
  const { access, leases, clock, lines } = begin();
  const holders = Array.from({ length: 100 }, () => hold(leases, EVERYBODY, new SlowHolder(clock, 10)));
  access.isOpen = false;
  for (let times = 0; times < 20; times++) await clock.advance(500);
  t.same(holders.map(({ said }) => said), holders.map(() => ['closed']));
  t.match(lines, [{ audit: 'streams-cut', reason: 'closed', count: 100 }]);
});

t.test('many credentials that end together are looked at some in each turn, and few of them are named in the log', async (t) => {
  const { clock, standing, leases, lines } = begin();
  const recall = standing.recall.bind(standing);
  standing.recall = (credential) => {
    clock.spend(0.1);
    return recall(credential);
  };
  const holders = Array.from({ length: 1_000 }, (_, number) => hold(leases, { ...subject(`s${number}`, 1e9), name: `subject s${number}` }));
  const cut = (): number => holders.filter(({ said }) => said.length > 0).length;
  for (let number = 0; number < holders.length; number++) standing.revokedSubjects.add(`s${number}`);
  leases.review();
  t.ok(cut() <= 100, `${cut()} in the first turn`);
  await until(() => cut() === holders.length);
  await clock.advance(1_000);
  t.match(lines.slice(0, -1), Array.from({ length: 20 }, (_, number) => ({ audit: 'streams-cut', credential: `subject s${number}`, reason: 'revoked', count: 1 })));
  t.equal(lines.length, 21);
  t.match(lines.at(-1), { audit: 'streams-cut', credentials: 980, reason: 'revoked', count: 980 });
});

t.test('a revocation that comes during a review is not missed by those it has passed', async (t) => {
  const { clock, standing, leases } = begin();
  const recall = standing.recall.bind(standing);
  const holders = Array.from({ length: 100 }, (_, number) => hold(leases, subject(`s${number}`, 1e9)));
  standing.recall = (credential) => {
    clock.spend(1);
    return recall(credential);
  };
  leases.review();
  standing.revokedSubjects.add('s0');
  leases.review();
  await settle().then(settle).then(settle);
  t.same(holders.map(({ said }) => said), holders.map((_, number) => number === 0 ? ['revoked'] : []));
});

t.test('many are cut some in each turn, and others have their turns between', async (t) => {
  const { clock, standing, leases } = begin();
  const who = key(standing, 'k');
  const holders = Array.from({ length: 1_000 }, () => hold(leases, who, new SlowHolder(clock, 0.1)));
  const cut = (): number => holders.filter(({ said }) => said.length > 0).length;
  standing.rows.set('k', { isRevoked: true, expires: undefined });
  standing.known.clear();
  leases.keysChanged(['k']);
  await until(() => cut() > 0);
  // Two of the last go on by another credential while others are cut.
  for (const holder of holders.slice(-2)) {
    const before = holder.lease!;
    holder.lease = leases.hold(subject('other', 1e9), holder);
    leases.release(before, holder);
  }
  const seen = [0];
  while (cut() < holders.length - 2) {
    const before = cut();
    await until(() => cut() > before);
    if (cut() !== seen.at(-1)) seen.push(cut());
  }
  await settle();
  t.same(holders.slice(-2).map(({ said }) => said), [[], []]);
  const steps = seen.slice(1).map((count, index) => count - seen[index]!);
  t.ok(steps.length >= 10, `${steps.length} turns`);
  t.ok(Math.max(...steps) <= 100, `at most ${Math.max(...steps)} in one`);
});

t.test('a revocation that races an opening stream: the stream is refused, or cut; none slips through', async (t) => {
  const { standing, leases } = begin();
  const outcomes = { refused: 0, cut: 0 };
  const slipped: number[] = [];
  for (let round = 0; round < rounds(1_000, 20_000); round++) {
    const isKey = round % 2 === 0;
    const who = isKey ? key(standing, `k${round}`) : subject(`s${round}`, 1e9);
    const turns = [round % 5, (round >> 2) % 5];
    const holder = new TestHolder();
    // Admitted, as above. Then the log is asked where the stream starts; meanwhile the revocation comes, in any order with it.
    const opening = (async () => {
      for (let turn = 0; turn < turns[0]!; turn++) await Promise.resolve();
      if (!leases.mayHold(who, holder.filter)) return false;
      hold(leases, who, holder);
      return true;
    })();
    const revoking = (async () => {
      for (let turn = 0; turn < turns[1]!; turn++) await Promise.resolve();
      if (isKey) {
        standing.rows.set(`k${round}`, { isRevoked: true, expires: undefined });
        standing.known.delete(`k${round}`);
        leases.keysChanged([`k${round}`]);
      } else {
        standing.revokedSubjects.add(`s${round}`);
        leases.review();
      }
    })();
    const [isOpen] = await Promise.all([opening, revoking]);
    if (isOpen && holder.said.length === 0) await settle().then(settle);
    if (!isOpen) outcomes.refused++;
    else if (holder.said.at(-1) === 'revoked') outcomes.cut++;
    else slipped.push(round);
    if (holder.lease !== undefined) leases.release(holder.lease, holder);
  }
  t.same(slipped, []);
  t.ok(outcomes.refused > 0 && outcomes.cut > 0, JSON.stringify(outcomes));
});
