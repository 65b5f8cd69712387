import t from 'tap';
import { REPEAT_SECOND_MAX_MESSAGES, repeat, type RepetitionOptions, type Tally } from '../../src/page/views/publish/repetition.ts';

/** A message that is sent again and again, on a clock that stands still unless the repetition waits. */

interface Run {
  readonly tallies: Tally[];
  readonly pauses: number[];
  readonly abort: AbortController;
}

function options(more: Partial<RepetitionOptions>): { readonly run: Run; readonly wanted: RepetitionOptions } {
  const run: Run = { tallies: [], pauses: [], abort: new AbortController() };
  return {
    run,
    wanted: {
      perSecond: 10, messages: 5, signal: run.abort.signal, send: async () => undefined, isFinal: () => false, tell: (tally) => void run.tallies.push(tally),
      pause: async (ms) => void run.pauses.push(ms), ...more,
    },
  };
}

void t.test('it sends as many as were asked for, rests between them, and says how many were stored', async (t) => {
  const { run, wanted } = options({ perSecond: REPEAT_SECOND_MAX_MESSAGES });
  t.strictSame(await repeat(wanted), { sent: 5, stored: 5, refused: 0 });
  t.strictSame(run.pauses, [20, 20, 20, 20]);
  t.match(run.tallies.at(-1), { sent: 5, stored: 5 });
});

void t.test('a refusal that passes is counted, and it goes on; after one that stays it stops', async (t) => {
  let turn = 0;
  const refuse = async (): Promise<void> => {
    if (++turn % 2 === 0) throw new Error(`no ${turn}`);
  };
  t.match(await repeat(options({ send: refuse }).wanted), { sent: 5, stored: 3, refused: 2, error: { message: 'no 4' } });
  turn = 0;
  t.match(await repeat(options({ send: refuse, isFinal: () => true, pause: () => new Promise(setImmediate) }).wanted), { sent: 2, stored: 1, refused: 1 });
});

void t.test('it stops when it is told to, and the request under way counts neither as stored nor as refused', async (t) => {
  const { run, wanted } = options({ messages: 1_000 });
  let sent = 0;
  const done = await repeat({ ...wanted, send: (signal) => {
    if (++sent === 3) run.abort.abort();
    return signal.aborted ? Promise.reject(new Error('aborted')) : Promise.resolve();
  } });
  t.strictSame(done, { sent: 3, stored: 2, refused: 0 });
});

void t.test('a service that does not answer gets four requests, and no more', async (t) => {
  const answers: (() => void)[] = [];
  const { run, wanted } = options({ messages: 10, send: () => new Promise((resolve) => void answers.push(resolve)) });
  const done = repeat(wanted);
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  t.equal(answers.length, 4);
  answers[0]!();
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  t.equal(answers.length, 5, 'an answer lets the next one go');
  run.abort.abort();
  for (const answer of answers) answer();
  t.equal((await done).sent, 5);
});
