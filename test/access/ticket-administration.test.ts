import t from 'tap';
import type { Identity } from '../../src/access/identity.ts';
import { TicketAdministration } from '../../src/access/ticket-administration.ts';
import { ScopedGrant } from '../../src/model/grant.ts';
import type { Problem } from '../../src/model/problem.ts';
import type { NewTicket, TicketRecord } from '../../src/store/ticket-store.ts';
import { settle } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';

const OWNER: Identity = {
  grant: new ScopedGrant({ publish: [], subscribe: ['a'] }), mayAdminister: false, mayOperate: false, scope: 'key:k', name: 'key k',
  credential: { owner: { kind: 'key', id: 'k', secret: 's' }, expires: undefined }, origin: { kind: 'key', id: 'k', proof: new Uint8Array(32) },
};

t.test('of many requests for tickets few ask the database at a time, and too many are told to come back', async (t) => {
  const answers: (() => void)[] = [];
  const administration = new TicketAdministration({
    store: { createTicket: (ticket: NewTicket) => new Promise<TicketRecord>((resolve) => answers.push(() => resolve({ ...ticket, generation: 0, ends: 1, isGuarded: false }))) },
    tickets: { made: () => undefined }, logger: quietLogger, counters: { ticketsMade: 0 }, maxTopics: 1,
  });
  const make = (scope: string): Promise<string> => administration.make({ ...OWNER, scope }, { topics: ['a'] }, '192.0.2.1').then(() => 'made', ({ code }: Problem) => code);
  const made = Array.from({ length: 100 }, () => make('key:k'));
  t.equal(await make('key:k'), 'overloaded', 'too many of one sender');
  for (let sender = 0; sender < 902; sender++) made.push(make(`sub:${sender}`));
  t.equal(await make('sub:late'), 'overloaded', 'too many of all');
  t.equal(answers.length, 2);
  for (let answered = 0; answered < made.length; answered++) {
    answers[answered]!();
    await settle();
  }
  t.same(new Set(await Promise.all(made)), new Set(['made']));
});
