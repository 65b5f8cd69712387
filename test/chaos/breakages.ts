import type { FaultKind } from '../support/checker.ts';
import type { FaultKind as InjectedKind } from './faults.ts';

/** One deliberate mistake in a copy of `src/`, and what the checker has to call it. */
export interface Breakage {
  readonly name: string;
  /** What is wrong, in words. */
  readonly what: string;
  readonly file: string;
  /** Texts of that file, and what stands there instead. */
  readonly instead: Readonly<Record<string, string>>;
  readonly shows: FaultKind;
  /** What has to go wrong for it to show; without it, anything. */
  readonly by?: InjectedKind;
  /** How many webhooks it takes to show; without it, none. */
  readonly webhooks?: number;
  /** What else is wrong where this is: a message that was forgotten is foreign to the streams that had it. */
  readonly follows: readonly FaultKind[];
}

export const BREAKAGES: readonly Breakage[] = [
  {
    name: 'forgotten',
    what: 'one commit in thirty is rolled back, and answered with 201',
    file: 'store/sqlite/files/connection.ts',
    instead: {
      'sqliteConnection.commit.run();': '(++commits % 30 === 0 ? sqliteConnection.rollback : sqliteConnection.commit).run();',
      'export function writeTransaction<T>': 'let commits = 0;\nexport function writeTransaction<T>',
    },
    shows: 'absent',
    follows: ['altered', 'two answers', 'stored twice', 'foreign', 'lost', 'unannounced gap', 'doubled', 'out of order', 'late start', 'needless gap', 'wrong topic'],
  },
  {
    name: 'keyless',
    what: 'an Idempotency-Key that was used before is not looked at',
    file: 'store/sqlite/messages/append.ts',
    instead: { 'if (inserted * KEY_COLUMNS.length === plan.keys.length) return plan;': 'if (inserted >= 0) return plan;' },
    shows: 'stored twice',
    follows: ['two answers', 'altered'],
  },
  {
    name: 'seam',
    what: 'a stream that comes back gets the message of its Last-Event-ID once more',
    file: 'log/history/start-position.ts',
    instead: { 'return { at: request.position, gap: undefined };': 'return { at: { epoch: request.position.epoch, seq: Math.max(0, request.position.seq - 1) }, gap: undefined };' },
    shows: 'doubled',
    follows: ['late start', 'out of order', 'needless gap'],
  },
  {
    name: 'unfilled',
    what: 'what an instance did not hear of and read from the log is not passed on to its live streams',
    file: 'log/tail/tail-growth.ts',
    instead: { 'this.#append(message);\n      this.#counters.filled++;': 'this.#recent.push(message);\n      this.#counters.filled++;' },
    shows: 'unannounced gap',
    follows: ['lost'],
  },
  {
    name: 'reversed',
    what: 'messages that share a write are in the wrong order',
    file: 'delivery/fanout-sweep.ts',
    instead: { 'messages.filter((message) => !message.isExpired(now)), this.#chunkOf': 'messages.filter((message) => !message.isExpired(now)).reverse(), this.#chunkOf' },
    shows: 'out of order',
    follows: ['doubled', 'unannounced gap', 'lost'],
  },
  {
    name: 'prefix',
    what: 'a replay takes a pattern for a prefix',
    file: 'model/pattern-tree.ts',
    instead: { 'return pattern.length === topic.length;': 'return pattern.length <= topic.length;' },
    shows: 'wrong topic',
    follows: [],
  },
  {
    name: 'backwards',
    what: 'a message has the time of the machine, wherever its clock was set',
    file: 'store/sqlite/files/log-state.ts',
    instead: { 'return Math.max(Date.now(), row.time);': 'return Date.now();' },
    shows: 'time went back',
    follows: [],
  },
  {
    name: 'unknown',
    what: 'an id of an epoch that was lost leads to the oldest message',
    file: 'model/ancestry.ts',
    instead: { 'at = this.#before(at, lineage);': 'at = undefined;' },
    by: 'database loses its newest epoch',
    shows: 'wrong gap',
    follows: ['doubled', 'out of order'],
  },
  {
    name: 'untold',
    what: 'a stream that had read what was lost goes on where the logs part, and is not told',
    file: 'delivery/reader/reader.ts',
    instead: { 'socket.say(socket.wantsControl ? gapFrame(at, gap, socket.controlWriter) : socket.comment(gapComment(gap)));': '' },
    by: 'database loses its newest epoch',
    shows: 'unannounced gap',
    follows: ['out of order'],
  },
  {
    name: 'untaken',
    what: 'a webhook goes on to the next message after any answer',
    file: 'webhooks/attempt.ts',
    instead: { 'status >= 200 && status < 300': 'status >= 200' },
    webhooks: 5,
    shows: 'lost',
    follows: ['out of order'],
  },
];
