import t from 'tap';
import { ControlChannel } from '../../src/bus/control-channel.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { settle, TestClock } from '../support/clock.ts';

/** Instances on one bus, which loses what a test says. */
function fleet(count: number, clock = new TestClock()) {
  const counters = new Counters();
  const world = { state: 'up' as 'up' | 'degraded', lose: 0, sent: [] as string[], looks: Array.from({ length: count }, () => 0) };
  const channels: ControlChannel[] = Array.from({ length: count }, (_, self) => new ControlChannel({
    clock, counters, instance: `instance${self}`, look: () => void world.looks[self]!++,
    bus: {
      get state() {
        return world.state;
      },
      tell: (note) => {
        world.sent.push(note);
        if (world.lose > 0) world.lose--;
        else channels.forEach((channel, index) => index !== self && queueMicrotask(() => channel.told(note)));
      },
    },
  }));
  return { world, channels, clock, counters };
}

t.test('told to look, the others look; a flood of it makes one look for each interval', async (t) => {
  const { world, channels: [one], clock } = fleet(3);
  one!.tellToLook();
  await settle();
  t.same(world.looks, [0, 1, 1]);
  for (let times = 0; times < 100; times++) one!.tellToLook();
  await clock.advance(1_000);
  t.same(world.looks, [0, 2, 2]);
});

t.test('a note that cannot be checked makes it look, and no more', async (t) => {
  const { world, channels: [one], clock } = fleet(2);
  for (let times = 0; times < 10; times++) one!.toldUnproved();
  await clock.advance(1_000);
  t.same([world.looks, world.sent], [[2, 0], []]);
});

t.test('a question is answered by the instance that knows', async (t) => {
  const { channels: [one, two, three] } = fleet(3);
  two!.answer('sum', () => undefined);
  three!.answer('sum', (body) => (body as number[]).reduce((sum, value) => sum + value));
  t.equal(await one!.ask('sum', [1, 2, 3]), 6);
});

t.test('a question that is lost is asked again; without an answer it is given up, and without a bus at once', async (t) => {
  const { world, channels: [one, two], clock } = fleet(2);
  two!.answer('who', () => 'two');
  world.lose = 2;
  const asking = one!.ask('who', {});
  await clock.advance(1_000);
  t.equal(await asking, 'two');
  const unanswered = one!.ask('nobody knows', {});
  await clock.advance(10_000);
  t.equal(await unanswered, undefined);
  const sent = world.sent.length;
  await clock.advance(10_000);
  t.equal(world.sent.length, sent, 'it is over');
  world.state = 'degraded';
  t.equal(await one!.ask('who', {}), undefined);
  t.equal(world.sent.length, sent);
});

t.test('a question whose answer is lost is answered again, and changes nothing a second time', async (t) => {
  const { world, channels: [one, two, three], clock } = fleet(3);
  const done: unknown[] = [];
  two!.answer('do', (body) => done.push(body));
  const first = one!.ask('do', ['first']);
  world.lose = 1;
  await settle();
  t.equal(await three!.ask('do', ['second']), 2);
  await clock.advance(1_000);
  t.equal(await first, 1);
  t.same(done, [['first'], ['second']]);
});

t.test('answers that are kept for questions that come again have a bound together', async (t) => {
  const { channels: [, two] } = fleet(2);
  const handled: unknown[] = [];
  two!.answer('all', (body) => {
    handled.push(body);
    return 'x'.repeat(48 * 1024);
  });
  const ask = (number: number): void => two!.told(JSON.stringify({ kind: 'all', id: `question ${number}`, body: number }));
  for (let number = 0; number < 200; number++) ask(number);
  handled.length = 0;
  ask(199);
  ask(170);
  t.same(handled, [], 'what was asked last is known');
  ask(0);
  t.same(handled, [0], 'the first ones were forgotten');
});

t.test('what an instance does not understand means nothing to it', async (t) => {
  const { world, channels: [one] } = fleet(2);
  for (const note of ['', 'x', 'null', '[]', '7', '{}', '{"kind":7}', '{"kind":"new","id":"x"}', '{"kind":"answer","id":"x","body":1}', '{"kind":"answer"}', '{"kind":"__proto__","id":"x"}']) one!.told(note);
  await settle();
  t.same([world.sent, world.looks], [[], [0, 0]]);
});

t.test('the answers of all instances are collected until they are enough, or it has been long enough', async (t) => {
  const { world, channels: [one, two, three, four], clock, counters } = fleet(4);
  two!.answer('who', () => ({ it: 'two' }));
  three!.answer('who', () => Promise.resolve({ it: 'three' }));
  const all = new Map([['instance1', { it: 'two' }], ['instance2', { it: 'three' }]]);
  t.same(await one!.collect('who', {}, ({ size }) => size === 2), all);
  t.equal(world.sent.filter((note) => note.includes('"kind":"who"')).length, 1);
  // The fourth is of an older version: it does not know the question.
  const waiting = one!.collect('who', {}, ({ size }) => size === 3);
  await clock.advance(2_400);
  t.equal(await Promise.race([waiting, Promise.resolve('nothing')]), 'nothing');
  await clock.advance(200);
  t.same(await waiting, all);
  t.same([counters.asked, counters.unanswered], [2, 1]);
  world.state = 'degraded';
  t.equal((await four!.collect('who', {}, () => false)).size, 0, 'without a bus nobody answers');
});

t.test('past the bound the client that asks most gets no answer to its newest, and others are answered', async (t) => {
  const { channels: [one, two], clock, counters } = fleet(2);
  two!.answer('who', () => 'two');
  const ended = { greedy: 0, small: 0 };
  let isOver = false;
  const greedy = Array.from({ length: 1_200 }, (_, index) => one!.collect('nobody knows', {}, () => isOver, { asker: [`sender ${index % 2}`, 'address', {}] }).then(() => void ended.greedy++));
  const small = Array.from({ length: 3 }, () => one!.ask('nobody knows', {}, ['small']).then(() => void ended.small++));
  await settle();
  t.same([ended, counters.evicted.questions, counters.asked], [{ greedy: 203, small: 0 }, 3, 1_003], 'two hundred were not sent, and three gave way');
  t.equal(await one!.ask('who', {}, ['newcomer']), 'two');
  t.equal(await one!.ask('who', {}), 'two', 'so does the process itself');
  isOver = true;
  await clock.advance(3_000);
  await Promise.all([...greedy, ...small]);
  t.equal(counters.unanswered, 3);
  t.equal(await one!.ask('who', {}, ['sender 0', 'address', {}]), 'two', 'nothing is held any more');
});

t.test('a question whose answer takes a while is not begun again when it comes again', async (t) => {
  const { channels: [one, two], clock } = fleet(2);
  const answers: (() => void)[] = [];
  two!.answer('slow', () => new Promise((resolve) => answers.push(() => resolve({ after: answers.length }))));
  const asking = one!.ask('slow', {});
  await clock.advance(1_700);
  t.equal(answers.length, 1);
  answers[0]!();
  t.same(await asking, { after: 1 });
});
