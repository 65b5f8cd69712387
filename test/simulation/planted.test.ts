import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Child } from '../support/child.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { check } from './checker.ts';
import { FOUND } from './found.ts';
import type * as Simulation from './simulation.ts';

/**
 * A simulation that finds nothing is worth nothing: here it is given a spine with a mistake in it, and has to find and name that. Each is
 * made in a copy of the source. Where the text that it replaces is not there any more, the test fails: then the mistake has to be made where the code is now.
 */

const ROOT = join(import.meta.dirname, '../..');
/** So many schedules may be needed: no more than simulation.test.ts always plays. The first that fails is among the first fifty, or for two of them among 160. */
const SEEDS = 400;
/** The longest that a schedule may be that shows one of these. Commands. */
const SHORT = 20;

interface Mistake {
  readonly name: string;
  readonly file: string;
  readonly right: string;
  readonly wrong: string;
  /** What a run that shows it breaks. */
  readonly invariants: readonly string[];
}

const MISTAKES: readonly Mistake[] = [
  {
    name: 'the seam between replay and live is off by one',
    file: 'delivery/catchup/catchup-reads.ts',
    right: 'if (reader.cursorSeq >= this.#tail.last) reader.goLive();',
    wrong: 'if (reader.cursorSeq >= this.#tail.last - 1) reader.goLive();',
    invariants: ['lost', 'unannounced gap', 'cursor ahead of its frames'],
  },
  {
    name: 'a gap of the tail is filled twice',
    file: 'log/tail/tail-growth.ts',
    right: 'if (message.seq !== this.#recent.last + 1) continue;',
    wrong: 'if (message.seq !== this.#recent.last + 1) { this.#added(() => message, message.topic); continue; }',
    invariants: ['doubled', 'out of order'],
  },
  {
    name: 'a commit that stays bytes begins with its second message',
    file: 'log/tail/recent-messages.ts',
    right: 'const message = kept.at(seq - kept.first);',
    wrong: 'const message = kept.at(Math.min(seq - kept.first + 1, kept.length - 1));',
    invariants: ['unannounced gap', 'lost', 'out of order', 'doubled'],
  },
  {
    name: 'a cursor moves before its frame is written',
    file: 'delivery/reader/reader.ts',
    right: 'if (this.isLive && this.group.isWaiting) return socket.say(HEARTBEAT);',
    wrong: '',
    invariants: ['cursor ahead of its frames'],
  },
  {
    name: 'a stream that changes its topics leaves its group at the end of the tail, whatever is pending',
    file: 'delivery/fanout.ts',
    right: 'reader.leaveBehind(this.positionOf(reader));',
    wrong: 'reader.leaveBehind(this.#tail.position);',
    invariants: ['cursor ahead of its frames', 'unannounced gap', 'lost'],
  },
  {
    name: 'a wake-up between a read of the log and the wait after it is lost',
    file: 'delivery/long-polls.ts',
    right: 'if (this.#tail.last > at.seq) wake(undefined);',
    wrong: '',
    invariants: ['lost', 'unannounced gap'],
  },
  {
    name: 'readers that come while the log is being read for others are not woken after it',
    file: 'delivery/catchup/catchup-reads.ts',
    right: 'else this.#requeue(group);',
    wrong: '',
    invariants: ['lost'],
  },
  {
    name: 'the tail is trimmed under a reader',
    file: 'delivery/catchup/catchup-backlog.ts',
    right: 'return tail.covers(seq) && seq >= tail.last - NEAR_TAIL_MESSAGES;',
    wrong: 'return seq >= tail.last - NEAR_TAIL_MESSAGES;',
    invariants: ['unannounced gap', 'cursor ahead of its frames', 'lost'],
  },
  {
    name: 'an id of an epoch that the log has lost leads to the oldest message',
    file: 'model/gap.ts',
    right: 'ancestry.shared(cursor, log.lineage);',
    wrong: '(ancestry, log.lineage.shared(cursor));',
    invariants: ['needless gap'],
  },
  {
    name: 'an id of an epoch that the log has lost leads past what both logs share',
    file: 'model/ancestry.ts',
    right: 'return at === undefined ? undefined : lineage.shared(at);',
    wrong: 'return at === undefined ? undefined : lineage.knows(position.epoch) ? lineage.shared(at) : at.seq;',
    invariants: ['needless gap', 'unannounced gap', 'lost'],
  },
  {
    name: 'a message from the bus is used without its proof',
    file: 'bus/envelope-keys.ts',
    right: 'return timingSafeEqual(proof(key, bytes), given);',
    wrong: 'return timingSafeEqual(given, given);',
    invariants: ['id not unique', 'foreign', 'altered', 'lost', 'wrong topic'],
  },
  {
    name: 'the first clock that an instance sees is believed',
    file: 'store/believed-clock.ts',
    right: 'const known = Math.max(kept ?? oldest ?? machine, counted !== undefined && continues(counted, kept) ? counted.latest : -Infinity);',
    wrong: 'const known = counted?.latest ?? machine;',
    invariants: ['acknowledged and absent', 'stored twice', 'needless gap'],
  },
];

/**
 * Mistakes that only one of some hundreds or thousands of schedules shows. All were found among seeds 1 to 10000 of `npm run simulate`; here each is given
 * the short schedule of `found.ts` that shows it. So it is also known that these schedules still show what they were kept for.
 */
const RARE_MISTAKES: readonly (Mistake & { readonly shownBy: string })[] = [
  {
    name: 'an answer from before a restore is used after it',
    file: 'log/tail/known-log.ts',
    right: 'return known !== before.log && known !== undefined',
    wrong: 'return known === null && known !== undefined',
    invariants: ['unannounced gap'],
    shownBy: 'a page of the log that was read before an older copy took its place is added to the tail after it',
  },
  {
    name: 'the tail goes back and keeps messages that were lost',
    file: 'log/tail/recent-messages.ts',
    right: 'this.#keep(isShared ? at.seq - this.first + 1 : 0);',
    wrong: 'this.#keep(isShared || at.seq <= this.last ? Math.max(0, at.seq - this.first + 1) : 0);',
    invariants: ['unannounced gap'],
    shownBy: 'the tail goes back to a copy in which retention has gone past the fork, and keeps lost messages',
  },
  {
    name: 'a page is read on after the number of a lost message, when retention has gone past the fork',
    file: 'log/history/history-pages.ts',
    right: "if (page.at.seq < seq) return 'unfinished';",
    wrong: "if (there.gap.reason !== 'expired') return 'unfinished';",
    invariants: ['cursor ahead of its frames', 'unannounced gap'],
    shownBy: 'a page is read after the number of a lost message, and its place lies before that',
  },
  {
    name: 'a gap that leads to the oldest message is joined to a fork, and told as one',
    file: 'log/history/page.ts',
    right: 'const reason = BY_REACH.indexOf(second.reason) > BY_REACH.indexOf(first.reason) ? second.reason : first.reason;',
    wrong: 'const { reason } = first;',
    invariants: ['needless gap'],
    shownBy: 'retention overtakes a page that was told of a fork, and its gap to the oldest message is called a fork',
  },
  {
    name: 'an instance counts on from a clock that it saw while the log was empty, and a message is deleted',
    file: 'store/believed-clock.ts',
    right: 'return kept !== null && from >= kept && from - kept < CLOCK_KEPT_MS;',
    wrong: 'return kept === null || (from >= kept && from - kept < CLOCK_KEPT_MS);',
    invariants: ['acknowledged and absent'],
    shownBy: 'the clock is far ahead while the log is empty, and again after a message was stored by the right one: an instance that looked at the empty log believes it, and the message is deleted',
  },
  {
    name: 'an instance counts on from a clock that it saw while the log was empty, and a key is forgotten',
    file: 'store/believed-clock.ts',
    right: 'return kept !== null && from >= kept && from - kept < CLOCK_KEPT_MS;',
    wrong: 'return kept === null || (from >= kept && from - kept < CLOCK_KEPT_MS);',
    invariants: ['stored twice'],
    shownBy: 'the first messages are stored while the clock is days behind, and an instance that looked at the empty log before that believes the clock at once when it is right: a key is forgotten',
  },
];

/** A copy of what the simulation needs, with a mistake in it. */
function plant(t: Scope, { file, right, wrong }: Mistake): string {
  const copy = tempFolder(t);
  for (const part of ['src', 'test/simulation', 'test/support', 'package.json']) cpSync(join(ROOT, part), join(copy, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const path = join(copy, 'src', file);
  const source = readFileSync(path, 'utf8');
  if (source.split(right).length !== 2) throw new Error(`${file} does not have this exactly once any more: ${right}`);
  writeFileSync(path, source.replace(right, wrong));
  return copy;
}

for (const mistake of MISTAKES) {
  t.test(`it is found and named when ${mistake.name}`, async (t) => {
    const copy = plant(t, mistake);
    const child = new Child(t, process.execPath, ['test/simulation/simulate.ts', '--seeds', String(SEEDS)], { cwd: copy });
    const { code } = await child.exited;
    const [, seed, invariant] = /^seed (\d+): (.+)$/m.exec(child.output) ?? [];
    const [, shortest] = /(\d+) of \d+ commands/.exec(child.output) ?? [];
    t.ok(code === 1 && seed !== undefined && mistake.invariants.includes(invariant ?? '') && Number(shortest) <= SHORT,
      `seed ${seed}: ${invariant}, shrunk to ${shortest} commands`, { output: child.output });
  });
}

for (const mistake of RARE_MISTAKES) {
  t.test(`its schedule still shows it when ${mistake.name}`, async (t) => {
    const copy = plant(t, mistake);
    const { simulate } = await import(join(copy, 'test/simulation/simulation.ts')) as typeof Simulation;
    const schedule = new Map(FOUND).get(mistake.shownBy);
    const faults = check((await simulate(schedule!)).run);
    t.ok(faults.some(({ invariant }) => mistake.invariants.includes(invariant)), faults[0]?.what ?? 'no fault', { faults });
  });
}
