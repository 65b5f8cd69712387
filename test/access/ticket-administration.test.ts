import t from 'tap';
import type { Identity } from '../../src/access/credentials/identity.ts';
import { TicketAdministration } from '../../src/access/tickets/ticket-administration.ts';
import { ScopedGrant } from '../../src/model/grant.ts';
import type { Problem } from '../../src/model/problem.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { NewTicket, TicketRecord } from '../../src/store/contracts/ticket-store.ts';
import { settle } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';

const OWNER: Identity = {
  grant: new ScopedGrant({ publish: [], subscribe: ['a'] }), mayAdminister: false, mayOperate: false, scope: 'key:k', name: 'key k',
  credential: { owner: { kind: 'key', id: 'k', secret: 's' }, expires: undefined }, origin: { kind: 'key', id: 'k', proof: new Uint8Array(32) },
};

t.test('of many requests for tickets few ask the database at a time, and too many are told to come back', async (t) => {
  const answers: (() => void)[] = [];
  const counters = new Counters();
  const administration = new TicketAdministration({
    store: { createTicket: (ticket: NewTicket) => new Promise<TicketRecord>((resolve) => answers.push(() => resolve({ ...ticket, generation: 0, ends: 1, isGuarded: false }))) },
    tickets: { made: () => undefined }, logger: quietLogger, counters, maxTopics: 1,
  });
  const make = (scope: string): Promise<string> => administration.make({ ...OWNER, scope }, { topics: ['a'] }, '192.0.2.1', [scope, 'address', {}]).then(() => 'made', ({ code }: Problem) => code);
  const made = Array.from({ length: 100 }, () => make('key:k'));
  t.equal(await make('key:k'), 'overloaded', 'too many of one sender');
  for (let sender = 0; sender < 902; sender++) made.push(make(`sub:${sender}`));
  made.push(make('sub:late'));
  t.equal(await made[99], 'overloaded', 'too many of all: the last of the sender with most');
  t.equal(counters.evicted.tickets, 1);
  t.equal(answers.length, 2);
  for (let answered = 0; answered < made.length - 1; answered++) {
    answers[answered]!();
    await settle();
  }
  t.same((await Promise.all(made)).filter((outcome) => outcome !== 'made'), ['overloaded']);
});
