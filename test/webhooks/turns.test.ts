import t from 'tap';
import { Turns } from '../../src/webhooks/turns.ts';
import { settle, TestClock } from '../support/clock.ts';

const WEBHOOKS = 1_000;
const HANGING = 900;
/** How long a receiver that hangs is waited for. */
const TIMEOUT_MS = 15_000;

/** A thousand webhooks, of which most hang until they are given up: what each has got, and what was under way at once. */
class Hooks {
  readonly clock = new TestClock();
  readonly turns = new Turns({ clock: this.clock });
  readonly taken = new Map<number, number>();
  readonly #running = new Map<string, number>();
  mostOfOrigin = 0;
  most = 0;
  failed = 0;

  ask(index: number, origin: string, isHanging: boolean, isSuspect = false): void {
    this.turns.ask({ origin, isSuspect, run: async () => {
      this.#count(origin, 1);
      if (isHanging) await new Promise<void>((resolve) => this.clock.after(TIMEOUT_MS, resolve));
      else await Promise.resolve();
      this.#count(origin, -1);
      if (isHanging) this.failed += 1;
      else this.taken.set(index, this.clock.monotonic());
    } });
  }

  #count(origin: string, more: number): void {
    const running = (this.#running.get(origin) ?? 0) + more;
    this.#running.set(origin, running);
    this.mostOfOrigin = Math.max(this.mostOfOrigin, running);
    this.most = Math.max(this.most, [...this.#running.values()].reduce((sum, one) => sum + one, 0));
  }
}

t.test('of a thousand webhooks 900 hang: the others wait for them once, for some seconds at most, and not at all from then on', async (t) => {
  const hooks = new Hooks();
  // Nobody has failed yet, and those that hang have asked before the others.
  for (let index = 0; index < WEBHOOKS; index++) hooks.ask(index, `https://host-${index}`, index < HANGING);
  await settle();
  for (let second = 0; second < 120; second++) await hooks.clock.advance(1_000);
  t.equal(hooks.taken.size, WEBHOOKS - HANGING, 'every other one had its turn');
  t.ok(Math.max(...hooks.taken.values()) <= 2 * TIMEOUT_MS, 'while those that hang had not been given up twice');
  t.ok(hooks.most <= 512, `${hooks.most} were under way at once`);
  t.equal(hooks.failed, HANGING);
  // They have failed: from now on they have places of their own.
  hooks.taken.clear();
  const now = hooks.clock.monotonic();
  for (let index = 0; index < WEBHOOKS; index++) hooks.ask(index, `https://host-${index}`, index < HANGING, index < HANGING);
  await settle();
  t.equal(hooks.taken.size, WEBHOOKS - HANGING);
  t.equal(hooks.clock.monotonic(), now, 'no time has passed');
});

t.test('the webhooks of one host do not take the places of all', async (t) => {
  const hooks = new Hooks();
  for (let index = 0; index < 200; index++) hooks.ask(index, 'https://large', true);
  for (let index = 200; index < 300; index++) hooks.ask(index, `https://host-${index}`, false);
  await settle();
  t.equal(hooks.mostOfOrigin, 16);
  t.equal(hooks.taken.size, 100, 'the others had their turns at once');
});

t.test('origins take turns: a burst of one waits for nobody, and keeps nobody waiting', async (t) => {
  const turns = new Turns({ clock: new TestClock() });
  const order: string[] = [];
  const free = Promise.withResolvers<void>();
  // Every place is taken.
  for (let index = 0; index < 64; index++) turns.ask({ origin: `https://other-${index}`, isSuspect: false, run: () => free.promise });
  for (const origin of ['a', 'a', 'a', 'b', 'c']) turns.ask({ origin, isSuspect: false, run: async () => void order.push(origin) });
  t.same([turns.running, order], [64, []]);
  free.resolve();
  await settle();
  t.same(order, ['a', 'b', 'c', 'a', 'a']);
  t.equal(turns.running, 0);
});
