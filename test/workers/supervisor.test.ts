import { EventEmitter } from 'node:events';
import t from 'tap';
import { makeLogger } from '../../src/runtime/logging/logger.ts';
import { Warnings } from '../../src/runtime/logging/warnings.ts';
import type { FromWorker, ToWorker } from '../../src/workers/protocol.ts';
import { RestartPause } from '../../src/workers/restart-pause.ts';
import { Supervisor } from '../../src/workers/supervisor.ts';
import type { Exit, WorkerChild } from '../../src/workers/worker-process.ts';
import { settle, TestClock } from '../support/clock.ts';

/** The supervisor on a clock that the test moves, with workers that are no processes. */

/** More looks than a worker may be silent. Milliseconds. */
const FROZEN_MS = 12_000;
const LONG_MS = 600_000;

class FakeChild extends EventEmitter {
  readonly number: number;
  readonly pid: number;
  connected = true;
  readonly told: ToWorker[] = [];
  killed: NodeJS.Signals | undefined;

  constructor(number: number) {
    super();
    this.number = number;
    this.pid = 1_000 + number;
  }

  send(message: ToWorker): boolean {
    this.told.push(message);
    return true;
  }

  kill(signal: NodeJS.Signals): boolean {
    this.killed = signal;
    this.exit({ code: null, signal });
    return true;
  }

  says(message: FromWorker): void {
    this.emit('message', message);
  }

  listens(): void {
    this.says({ kind: 'begins', instance: `instance ${this.pid}` });
    this.says({ kind: 'beat', isReady: true });
    this.says({ kind: 'listens', greeting: `greeting of ${this.number}\n` });
  }

  exit({ code, signal }: Exit): void {
    this.connected = false;
    this.emit('exit', code, signal);
  }
}

function supervise(count: number) {
  const clock = new TestClock();
  const lines: string[] = [];
  const warnings = new Warnings();
  const logger = makeLogger({ level: 'trace', isExpected: () => false, destination: { write: (line) => void lines.push(line) }, warnings });
  const children: FakeChild[] = [];
  const seen = { accepting: [] as string[], greetings: [] as string[], refused: [] as Exit[] };
  const supervisor = new Supervisor({
    count, clock, logger, warnings,
    fork: (number) => {
      const child = new FakeChild(number);
      children.push(child);
      return child as unknown as WorkerChild;
    },
    render: (answered) => Promise.resolve(`# HELP up h\n# TYPE up gauge\nup ${[...answered].join('+')}\n`),
    onAccepting: (port) => void seen.accepting.push(port),
    onAll: (greeting) => void seen.greetings.push(greeting),
    onRefused: (exit) => void seen.refused.push(exit),
  });
  supervisor.open();
  /** Time passes, and workers that are not named say that they live. */
  const pass = async (milliseconds: number, silent: readonly FakeChild[] = []): Promise<void> => {
    for (let passed = 0; passed < milliseconds; passed += 1_000) {
      for (const child of children) if (child.connected && !silent.includes(child)) child.says({ kind: 'beat', isReady: true });
      await clock.advance(1_000);
    }
  };
  return { clock, supervisor, children, seen, lines, pass };
}

/** All workers listen. */
function started(count: number): ReturnType<typeof supervise> {
  const all = supervise(count);
  all.children[0]!.listens();
  for (const child of all.children.slice(1)) child.listens();
  return all;
}

t.test('the first worker starts alone; the others start when it listens, and one greeting follows when all do', async (t) => {
  const { children, seen } = supervise(3);
  t.same(children.map(({ number }) => number), [1]);
  children[0]!.says({ kind: 'accepts', port: 'main' });
  t.equal(children.length, 1, 'its log may not be open yet');
  children[0]!.listens();
  t.same(children.map(({ number }) => number), [1, 2, 3]);
  t.same(seen.accepting, ['main']);
  children[2]!.listens();
  t.same(seen.greetings, []);
  children[1]!.listens();
  t.same(seen.greetings, ['greeting of 2\n']);
});

t.test('where the first worker cannot start the whole ends with its code, and nothing is tried again', async (t) => {
  const { children, seen, pass } = supervise(3);
  children[0]!.exit({ code: 1, signal: null });
  await pass(LONG_MS / 10);
  t.same(seen.refused, [{ code: 1, signal: null }]);
  t.equal(children.length, 1);
});

t.test('a worker that ends is started again, and the reasons are counted', async (t) => {
  const { children, supervisor, seen, pass } = started(2);
  children[1]!.exit({ code: null, signal: 'SIGKILL' });
  t.equal(supervisor.running, 1);
  await pass(1_000);
  t.equal(children[2]!.number, 2);
  children[2]!.listens();
  children[0]!.exit({ code: 0, signal: null });
  await pass(1_000);
  children[3]!.exit({ code: 1, signal: null });
  await pass(1_000);
  t.same(children.map(({ number }) => number), [1, 2, 2, 1, 1]);
  t.same([...supervisor.restarts], [['failed', 1], ['killed', 1], ['frozen', 0], ['drained', 1]]);
  t.equal(seen.greetings.length, 1, 'the greeting does not come again');
});

t.test('the pause before a worker starts again doubles up to its bound, has a part of chance, and is short again after a long life', async (t) => {
  const longest = new RestartPause(() => 0);
  t.same(Array.from({ length: 8 }, () => longest.after(0)), [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  t.equal(longest.after(60_000), 500);
  t.equal(new RestartPause(() => 0.999).after(0), 250);
});

t.test('a worker that says nothing any more is killed and replaced; one that speaks is left alone', async (t) => {
  const { children, supervisor, pass, lines } = started(2);
  await pass(LONG_MS / 10);
  t.equal(children.length, 2);
  await pass(FROZEN_MS, [children[1]!]);
  t.equal(children[1]!.killed, 'SIGKILL');
  t.equal(children[0]!.killed, undefined);
  t.match(lines.join(''), /a worker no longer answers/);
  t.equal(children[2]!.number, 2);
  t.equal(supervisor.restarts.get('frozen'), 1);
});

t.test('a worker that loads may be silent for longer, but not for ever', async (t) => {
  const { children, pass } = supervise(2);
  children[0]!.says({ kind: 'beat', isReady: false });
  children[0]!.says({ kind: 'accepts', port: 'operations' });
  await pass(5 * FROZEN_MS, [children[0]!]);
  t.equal(children[0]!.killed, undefined);
  await pass(6 * FROZEN_MS, [children[0]!]);
  t.equal(children[0]!.killed, 'SIGKILL');
});

t.test('a machine that slept kills nobody: looks are counted, not time', async (t) => {
  const { children, clock, pass } = started(2);
  clock.spend(LONG_MS);
  clock.runDue();
  await pass(3_000);
  t.same(children.map(({ killed }) => killed), [undefined, undefined]);
});

t.test('all are told to end, nobody is started again meanwhile, and the end is good where all ended with 0', async (t) => {
  const { children, supervisor, pass } = started(2);
  children[1]!.exit({ code: null, signal: 'SIGKILL' });
  const ended = supervisor.end('SIGTERM', LONG_MS);
  t.match(children[0]!.told.at(-1), { kind: 'end', signal: 'SIGTERM' });
  await pass(60_000);
  t.equal(children.length, 2);
  children[0]!.exit({ code: 0, signal: null });
  t.equal(await ended, true);
});

t.test('a worker that ends badly makes the end a bad one, and one that does not end in time is killed', async (t) => {
  const bad = started(2);
  const ended = bad.supervisor.end('SIGINT', LONG_MS);
  bad.children[0]!.exit({ code: 0, signal: null });
  bad.children[1]!.exit({ code: 1, signal: null });
  t.equal(await ended, false);
  const late = started(2);
  const cut = late.supervisor.end('SIGINT', 0);
  late.children[0]!.exit({ code: 0, signal: null });
  t.equal(await cut, false);
  t.equal(late.children[1]!.killed, 'SIGKILL');
});

t.test('a worker killed before it could end does not make the end a bad one; other unfinished workers do', async (t) => {
  const KILLED: Exit = { code: null, signal: 'SIGKILL' };
  for (const [before, isGood] of [
    ['killed', true], ['loading', true], ['begun', false], ['frozen', false], ['second signal', false],
  ] as const) {
    const { children, supervisor, lines, pass } = started(2);
    const [well, other] = children as [FakeChild, FakeChild];
    const victim = before === 'loading' ? await pass(0).then(() => other.exit(KILLED)).then(() => pass(1_000)).then(() => children[2]!) : other;
    const ended = supervisor.end('SIGINT', LONG_MS);
    if (before === 'begun') victim.says({ kind: 'beat', isReady: false });
    if (before === 'frozen') await pass(FROZEN_MS, [victim]);
    else if (before === 'second signal') supervisor.killAll();
    else victim.exit(before === 'loading' ? { code: null, signal: 'SIGINT' } : KILLED);
    if (well.connected) well.exit({ code: 0, signal: null });
    t.equal(await ended, isGood, before);
    if (before !== 'second signal') t.match(lines.at(-1), isGood ? /was killed before it could begin to end/ : /did not end in order/);
  }
});

t.test('each worker hears that the process of another one has ended', async (t) => {
  const { children } = started(3);
  const gone = (child: FakeChild): unknown[] => child.told.filter(({ kind }) => kind === 'gone');
  children[1]!.exit({ code: null, signal: 'SIGKILL' });
  for (const child of [children[0]!, children[2]!]) t.same(gone(child), [{ kind: 'gone', instance: 'instance 1002' }]);
});

t.test('workers hear what their supervisor has warned of, and a new one hears it when it begins', async (t) => {
  const { children, pass } = started(3);
  const heard = (child: FakeChild): unknown => child.told.findLast((message) => message.kind === 'warned')?.warnings;
  await pass(5_000);
  t.equal(heard(children[0]!), undefined);
  children[1]!.exit({ code: 1, signal: null });
  children[2]!.exit({ code: 1, signal: null });
  await pass(2_000);
  const died = [{ level: 'warn', message: 'a worker ended, and is started again', count: 2, worker: 'supervisor' }];
  t.match(heard(children[0]!), died);
  children[3]!.listens();
  t.match(heard(children[3]!), died);
  const told = children[0]!.told.filter(({ kind }) => kind === 'warned').length;
  await pass(5_000);
  t.equal(children[0]!.told.filter(({ kind }) => kind === 'warned').length, told, 'only what is new is told');
});

t.test('each worker hears how many of the others take work', async (t) => {
  const { children, supervisor } = started(3);
  const others = (): unknown[] => children.map(({ told }) => told.findLast(({ kind }) => kind === 'others')).map((one) => one?.kind === 'others' && one.ready);
  t.same(others(), [2, 2, 2]);
  children[1]!.says({ kind: 'beat', isReady: false });
  t.same(others(), [1, 2, 1]);
  t.equal(supervisor.ready, 2);
  children[2]!.exit({ code: 1, signal: null });
  t.same(others().slice(0, 2), [0, 1]);
});

t.test('metrics of all come together; a worker that does not answer in time is missing, and one that ended is not waited for', async (t) => {
  const { children, clock } = started(3);
  const text = (number: number): string => `# HELP a h\n# TYPE a counter\na{worker="${number}"} 1\n\n# HELP b h\n# TYPE b gauge\nb{worker="${number}"} 2\n`;
  const render = (child: FakeChild): void => {
    const asked = child.told.findLast((message) => message.kind === 'render');
    child.says({ kind: 'rendered', id: asked!.id, text: text(child.number) });
  };
  const collected = (): ToWorker | undefined => children[0]!.told.findLast(({ kind }) => kind === 'collected');
  children[0]!.says({ kind: 'collect', id: 1 });
  render(children[0]!);
  render(children[2]!);
  await settle();
  t.equal(collected(), undefined, 'the second is waited for');
  await clock.advance(5_000);
  t.same(collected(), { kind: 'collected', id: 1, text: ['# HELP up h', '# TYPE up gauge', 'up 1+3', '', '# HELP a h', '# TYPE a counter', 'a{worker="1"} 1', 'a{worker="3"} 1', '', '# HELP b h', '# TYPE b gauge', 'b{worker="1"} 2', 'b{worker="3"} 2', ''].join('\n') });
  children[0]!.says({ kind: 'collect', id: 2 });
  render(children[0]!);
  render(children[1]!);
  children[2]!.exit({ code: 1, signal: null });
  await settle();
  t.match(collected(), { id: 2, text: /up 1\+2/ });
});
