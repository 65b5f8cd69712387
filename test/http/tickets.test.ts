import t from 'tap';
import type { Identity } from '../../src/access/credentials/identity.ts';
import { CredentialsUnavailable } from '../../src/access/records/credentials-unavailable.ts';
import { TicketHold } from '../../src/access/leases/ticket-hold.ts';
import type { Tickets } from '../../src/access/tickets/tickets.ts';
import type { Admission } from '../../src/http/admission/admission.ts';
import { resolveStart, type StreamStart } from '../../src/http/event-stream.ts';
import type { StartRequest } from '../../src/log/history/start-position.ts';
import type { Start } from '../../src/model/gap.ts';
import { ScopedGrant } from '../../src/model/grant.ts';
import { Problem } from '../../src/model/problem.ts';
import { Filter } from '../../src/model/topic.ts';
import { UNNAMED } from '../../src/runtime/sharing/fair-shares.ts';
import { fakeService } from '../support/service.ts';

/** When a stream uses its ticket: last, and only where it can begin. */

const AT = { epoch: 'abcdefgh', seq: 7 };
const HOLD = new TicketHold({ id: 'a', generation: 1, showsPosition: true, kept: 0 });
const identity: Identity = { grant: new ScopedGrant({ publish: [], subscribe: ['a'] }), mayAdminister: false, mayOperate: false, scope: 'key:k', name: 'key k', credential: undefined, ticket: { id: 'a', digest: new Uint8Array(32) } };

interface Ground {
  readonly use?: Tickets['use'];
  readonly gap?: Start['gap'];
  readonly isFull?: boolean;
  readonly isBusy?: boolean;
  readonly topic?: string;
  readonly wanted?: StartRequest;
  readonly bringsPosition?: boolean;
  readonly hasPlace?: boolean;
}

/** What came of it, and what was released. */
async function begin({ use = async () => HOLD, gap, isFull = false, isBusy = false, topic = 'a', wanted = { kind: 'now' }, bringsPosition = false, hasPlace = true }: Ground) {
  const told: unknown[] = [];
  const service = fakeService();
  const admission: Admission = { identity, outcome: { kind: isBusy ? 'busy' : 'served' }, headers: {}, member: undefined, clientAddress: () => '192.0.2.1', holder: () => UNNAMED };
  const start = await resolveStart({
    ...service,
    starts: { isReady: true, resolve: async () => ({ at: AT, gap }) },
    streams: { ...service.streams, hasRoomFor: () => !isFull },
    limits: { ...service.limits, stream: async () => hasPlace ? { release: () => void told.push('place') } : undefined, failedLogin: (address) => void told.push(`failed ${address}`) },
    tickets: { use: async (ticket, opening) => {
      told.push(opening);
      return use(ticket, opening);
    }, release: () => void told.push('ticket') },
  }, admission, wanted, { filter: new Filter([topic]), hasLeft: () => false, control: true, presence: false, bringsPosition }).catch((error: unknown) => error);
  return { start, told };
}

t.test('what cannot begin, or may not, uses no ticket', async (t) => {
  t.same(await begin({ isFull: true }), { start: 'full', told: [] });
  t.same(await begin({ isBusy: true }), { start: 'unavailable', told: [] });
  t.match(await begin({ topic: 'b' }), { start: { code: 'forbidden' }, told: [] });
});

t.test('where its owner has no place left, a ticket ends the stream that may have it, and the next attempt finds that place', async (t) => {
  t.same(await begin({ hasPlace: false }), { start: 'too-many-streams', told: [{ hasPosition: false, showsPosition: true }, 'ticket'] });
  t.match(await begin({ hasPlace: false, use: () => Promise.reject(new Problem('invalid-credential', 'over')) }), { start: { code: 'invalid-credential' } });
});

t.test('only an id of this log, in the header, is a position', async (t) => {
  const after: StartRequest = { kind: 'after', position: AT };
  const gap = (reason: 'expired' | 'unknown-log'): Start['gap'] => ({ requested: null, resumed: 'abcdefgh-1', oldest: 'abcdefgh-1', reason });
  const cases: readonly (readonly [Ground, boolean])[] = [
    [{ wanted: after, bringsPosition: true }, true], [{ wanted: after, bringsPosition: true, gap: gap('expired') }, true], [{ wanted: after, bringsPosition: true, gap: gap('unknown-log') }, false], [{ wanted: after }, false], [{}, false],
  ];
  for (const [ground, hasPosition] of cases) t.match((await begin(ground)).told, [{ hasPosition, showsPosition: true }], JSON.stringify(ground));
});

t.test('while the database is away the stream is busy, and never 401; a ticket that is refused is a failed login; both give the place back', async (t) => {
  const away = await begin({ use: () => Promise.reject(new CredentialsUnavailable('away')) });
  t.equal(away.start, 'unavailable');
  t.same(away.told.slice(1), ['place']);
  const refused = await begin({ use: () => Promise.reject(new Problem('invalid-credential', 'over')) });
  t.match(refused.start, { code: 'invalid-credential', status: 401 });
  t.same(refused.told.slice(1), ['place', 'failed 192.0.2.1']);
});

t.test('who gives the place back gives the ticket back, too', async (t) => {
  const { start, told } = await begin({});
  const { place, ticket } = start as StreamStart;
  t.equal(ticket, HOLD);
  place.release();
  t.same(told.slice(1), ['place', 'ticket']);
});
