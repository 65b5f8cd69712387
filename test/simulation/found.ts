import type { Schedule } from './schedule.ts';

/** The shortest schedules that showed a mistake in the service, as they were printed. */
export const FOUND: readonly (readonly [what: string, schedule: Schedule])[] = [
  ['a page is told that a message was lost with its log, and the next is handed it from the tail', {
    chance: 1, instances: 1, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 0, name: 'first', do: 'publish', topic: 'a', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 100, name: 'second', do: 'publish', topic: 'a', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 30, name: 'copy', do: 'restore', lost: 1 },
      { wait: 0, name: 'poll', do: 'poll', wants: ['a'], from: 'now' },
    ],
  }],
  ['retention deletes between the look that finds the start of a page and its first read', {
    chance: 1621523036, instances: 3, tailBytes: 3000, writeMs: 0, bus: 'good', commands: [
      { wait: 1500, name: 'ytujp2', do: 'publish', topic: 'a.x', messages: 2, times: 3, padding: 0, kind: 'plain' },
      { wait: 10, name: 'sl19ih', do: 'publish', topic: 'b', messages: 1, times: 3, padding: 0, kind: 'plain' },
      { wait: 0, name: 'w501km', do: 'publish', topic: 'a.x', messages: 1, times: 8, padding: 0, kind: 'plain' },
      { wait: 100, name: '35mewh', do: 'trim', messages: 50 },
      { wait: 0, name: 'aqt90b', do: 'store', trouble: 'mute', instance: 1, milliseconds: 4000 },
      { wait: 0, name: 'r0yorq', do: 'publish', topic: 'a.y', messages: 1, times: 8, padding: 0, kind: 'plain' },
      { wait: 0, name: 'sgvxdx', do: 'poll', wants: ['a.x', 'a.>', 'b'], from: { ago: 16 } },
      { wait: 100, name: 'hvztr', do: 'trim', messages: 1 },
    ],
  }],
  ['retention deletes between two reads of one page', {
    chance: 1127778129, instances: 1, tailBytes: 1000000, writeMs: 0, bus: 'good', commands: [
      { wait: 0, name: 'iit7np', do: 'publish', topic: 'a.x', messages: 5, times: 1, padding: 0, kind: 'plain' },
      { wait: 400, name: 'z85fk6', do: 'publish', topic: 'a.y', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 0, name: 'x77v6p', do: 'publish', topic: 'a.x', messages: 5, times: 1, padding: 0, kind: 'ttl' },
      { wait: 0, name: 'hdrvk2', do: 'trim', messages: 1 },
      { wait: 1500, name: 'qiz1gk', do: 'poll', wants: ['a.*'], from: 'start' },
      { wait: 30, name: 'rblocj', do: 'trim', messages: 50 },
    ],
  }],
  ['a page of the log that was read before an older copy took its place is added to the tail after it', {
    chance: 465381397, instances: 2, tailBytes: 1_000_000, writeMs: 0, bus: 'mixed', commands: [
      { wait: 0, name: '7s3qic', do: 'publish', topic: 'a', messages: 2, times: 3, padding: 0, kind: 'plain' },
      { wait: 0, name: '55grvj', do: 'poll', wants: ['*'], from: 'start' },
      { wait: 100, name: '949gca', do: 'publish', topic: 'b', messages: 1, times: 3, padding: 0, kind: 'plain' },
      { wait: 30, name: 'vqsxm2', do: 'restore', lost: 2 },
      { wait: 0, name: 'kcktj8', do: 'publish', topic: 'a', messages: 5, times: 1, padding: 0, kind: 'plain' },
    ],
  }],
  ['a page that was read before an older copy took the log\'s place makes a stream live after it', {
    chance: 1230788891, instances: 2, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 0, name: 'y6t8ou', do: 'stream', wants: ['a', 'b'], from: 'start', capacity: 1_000_000, times: 2 },
      { wait: 0, name: 'xeu5us', do: 'bus', trouble: 'late', instance: undefined, milliseconds: 4000 },
      { wait: 0, name: 'nta04r', do: 'publish', topic: 'a.y', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 0, name: '9xv4jz', do: 'stream', wants: ['*'], from: 'now', capacity: 1_000_000, times: 1 },
      { wait: 30, name: 'rh90dl', do: 'store', trouble: 'mute', instance: 2, milliseconds: 4000 },
      { wait: 0, name: 'ozvp4u', do: 'trim', messages: 1 },
      { wait: 0, name: 'xogrcu', do: 'publish', topic: 'b', messages: 1, times: 3, padding: 0, kind: 'plain' },
      { wait: 3, name: 'h8h9sz', do: 'stream', wants: ['b'], from: { ago: 11 }, capacity: 1_000_000, times: 1 },
      { wait: 10, name: 'm2lz7b', do: 'restore', lost: 1 },
    ],
  }],
  ['the tail goes back to a copy in which retention has gone past the fork, and keeps lost messages', {
    chance: 1765983130, instances: 2, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 0, name: 'dd0tc0', do: 'publish', topic: 'a.x', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 0, name: '5vuer8', do: 'poll', wants: ['a.x', 'a.>', 'b'], from: { ago: 19 } },
      { wait: 0, name: '6egr8e', do: 'publish', topic: 'b', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 1500, name: '92osws', do: 'restore', lost: 5 },
      { wait: 0, name: 'sulxkg', do: 'publish', topic: 'a.x', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 30, name: 'e9x7jj', do: 'trim', messages: 3 },
      { wait: 0, name: '9iarh1', do: 'publish', topic: 'a.x', messages: 1, times: 1, padding: 0, kind: 'plain' },
    ],
  }],
  ['a page is read after the number of a lost message, and its place lies before that', {
    chance: 1797415833, instances: 2, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 0, name: '96mlgm', do: 'drain', instance: 0, milliseconds: 500 },
      { wait: 0, name: 'yi6m6f', do: 'publish', topic: 'a.x', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 400, name: '3nr29h', do: 'stream', wants: ['>'], from: 'now', capacity: 1_000_000, times: 1 },
      { wait: 0, name: 'v4m64o', do: 'poll', wants: ['a', 'b'], from: 'now' },
      { wait: 400, name: 'v38g7f', do: 'publish', topic: 'a', messages: 1, times: 8, padding: 0, kind: 'plain' },
      { wait: 1_500, name: 'wp3gfy', do: 'freeze', instance: 0, milliseconds: 4_000 },
      { wait: 0, name: '29fwvg', do: 'publish', topic: 'a', messages: 1, times: 3, padding: 0, kind: 'plain' },
      { wait: 0, name: 'xz5k27', do: 'lose epochs', epochs: 4 },
      { wait: 400, name: '2u5f4h', do: 'trim', messages: 50 },
    ],
  }],
  ['two restored copies end one wait, and its gap to the oldest message is called a fork', {
    chance: 1716989294, instances: 1, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 0, name: 'esx0ym', do: 'publish', topic: 'b', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 400, name: '8lxh2a', do: 'publish', topic: 'a.y', messages: 1, times: 1, padding: 0, kind: 'key' },
      { wait: 3, name: 'lcrb3r', do: 'stream', wants: ['a.x', 'a.>', 'b'], from: 'now', capacity: 1_000_000, times: 2 },
      { wait: 0, name: 'ozmcf1', do: 'kill', instance: 1, milliseconds: 20 },
      { wait: 0, name: '3tmsho', do: 'poll', wants: ['a.x', 'a.>', 'b'], from: 'start' },
      { wait: 0, name: 'ycas3i', do: 'publish', topic: 'a.y', messages: 5, times: 1, padding: 0, kind: 'plain' },
      { wait: 0, name: 'z6qimg', do: 'publish', topic: 'a.x', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 400, name: 'yqtjvo', do: 'publish', topic: 'a.y', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 10, name: 'h6dfb1', do: 'cut', client: 7, isHalfOpen: false },
      { wait: 0, name: 'jhqvyv', do: 'restore', lost: 5 },
      { wait: 1, name: 'iz29ez', do: 'restore', lost: 20 },
    ],
  }],
  ['retention overtakes a page that was told of a fork, and its gap to the oldest message is called a fork', {
    chance: 1810606273, instances: 1, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 0, name: 'aye1d5', do: 'poll', wants: ['>'], from: 'now' },
      { wait: 0, name: '1e7tto', do: 'publish', topic: 'a.y', messages: 1, times: 3, padding: 0, kind: 'plain' },
      { wait: 30, name: 'g9ynkf', do: 'poll', wants: ['a.x', 'a.>', 'b'], from: 'start' },
      { wait: 0, name: 'px1ikl', do: 'publish', topic: 'a.y', messages: 1, times: 3, padding: 0, kind: 'plain' },
      { wait: 1, name: 'ejw6in', do: 'restore', lost: 5 },
      { wait: 3, name: 'e181n1', do: 'trim', messages: 50 },
    ],
  }],
  ['a message from a clock that is days ahead is believed, and the one before it is deleted: retention had not looked between the two', {
    chance: 1092535228, instances: 1, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 1500, name: 'yz19lz', do: 'publish', topic: 'a', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 400, name: 'b1yp0g', do: 'store', trouble: 'breaking', instance: 0, milliseconds: 100 },
      { wait: 0, name: 'e0hi9w', do: 'clock', hours: 200 },
      { wait: 100, name: '86wwgc', do: 'publish', topic: 'a.x', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 1500, name: '4k8qqn', do: 'publish', topic: 'b', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 1500, name: 'vvpt6q', do: 'publish', topic: 'a.x', messages: 1, times: 1, padding: 0, kind: 'plain' },
    ],
  }],
  ['the first messages are stored while the clock is days behind, and an instance that looked at the empty log before that believes the clock at once when it is right: a key is forgotten', {
    chance: 411, instances: 3, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 400, name: 'tdnoul', do: 'bus', trouble: 'late', instance: 0, milliseconds: 4000 },
      { wait: 0, name: 'o4q758', do: 'store', trouble: 'stalled', instance: undefined, milliseconds: 1500 },
      { wait: 100, name: 'ovbgjq', do: 'publish', topic: 'b', messages: 5, times: 3, padding: 0, kind: 'key' },
      { wait: 100, name: 'chv64u', do: 'freeze', instance: 0, milliseconds: 1500 },
      { wait: 100, name: 'bbfy6e', do: 'cut all' },
      { wait: 0, name: 'o0678o', do: 'publish', topic: 'a.y', messages: 1, times: 3, padding: 0, kind: 'poison' },
      { wait: 400, name: 'u32mpr', do: 'publish', topic: 'a.x', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 0, name: 't5xu6', do: 'clock', hours: -50 },
      { wait: 0, name: 'k883ec', do: 'store', trouble: 'breaking', instance: 2, milliseconds: 4000 },
      { wait: 400, name: '4xd3f0', do: 'publish', topic: 'a.y', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 30, name: 'esk6by', do: 'publish', topic: 'a', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 400, name: '8ppzkz', do: 'publish', topic: 'b', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 0, name: 'ttdlx', do: 'publish', topic: 'a.y', messages: 1, times: 3, padding: 300, kind: 'plain' },
      { wait: 1500, name: 'wok5tn', do: 'cut', client: 6, isHalfOpen: false },
      { wait: 0, name: 'ryw5ui', do: 'publish', topic: 'a.x', messages: 1, times: 3, padding: 0, kind: 'key' },
      { wait: 0, name: 'prenp2', do: 'store', trouble: 'stalled', instance: 1, milliseconds: 1500 },
      { wait: 400, name: 'ndxty9', do: 'publish', topic: 'b', messages: 1, times: 1, padding: 0, kind: 'plain' },
    ],
  }],
  ['the clock is far ahead while the log is empty, and again after a message was stored by the right one: an instance that looked at the empty log believes it, and the message is deleted', {
    chance: 1814708732, instances: 1, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 0, name: '2v5ok9', do: 'clock', hours: 20000 },
      { wait: 1500, name: 'rmgux8', do: 'bus', trouble: 'late', instance: 0, milliseconds: 500 },
      { wait: 1500, name: 'm97pye', do: 'freeze', instance: 1, milliseconds: 500 },
      { wait: 100, name: '2ttuxd', do: 'clock', hours: 0 },
      { wait: 400, name: 'dd59ft', do: 'cut', client: 4, isHalfOpen: false },
      { wait: 0, name: '7pch2u', do: 'publish', topic: 'a.y', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 100, name: 'r3pcm4', do: 'cut', client: 4, isHalfOpen: false },
      { wait: 0, name: 'a2impw', do: 'clock', hours: 20000 },
      { wait: 1500, name: 'q0h2xi', do: 'restore', lost: 20 },
    ],
  }],
];

/** The shortest schedules in which the simulation itself was wrong: what it does to the service, or what it makes of that. */
export const MISJUDGED: readonly (readonly [what: string, schedule: Schedule])[] = [
  ['a gap seems to go over messages that were published after its end was lost', {
    chance: 1905976301, instances: 1, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 0, name: 'fl53hb', do: 'publish', topic: 'a.y', messages: 1, times: 8, padding: 0, kind: 'plain' },
      { wait: 0, name: '6hjiug', do: 'stream', wants: ['b'], from: 'start', capacity: 1_000_000, times: 1 },
      { wait: 30, name: 'l0u9uc', do: 'restore', lost: 5 },
      { wait: 0, name: 'qv0kjc', do: 'publish', topic: 'a.x', messages: 1, times: 1, padding: 0, kind: 'plain' },
      { wait: 30, name: '6hg4uu', do: 'restore', lost: 5 },
    ],
  }],
  ['a poll that had no answer for four seconds asks again only after the last messages', {
    chance: 1371117895, instances: 3, tailBytes: 1_000_000, writeMs: 0, bus: 'good', commands: [
      { wait: 0, name: 'w2o7en', do: 'store', trouble: 'mute', instance: 2, milliseconds: 4000 },
      { wait: 0, name: 'r3v7yt', do: 'store', trouble: 'away', instance: 2, milliseconds: 100 },
      { wait: 0, name: '5fthqu', do: 'poll', wants: ['a', 'b'], from: 'now' },
      { wait: 3, name: 'eqld17', do: 'publish', topic: 'b', messages: 1, times: 1, padding: 0, kind: 'plain' },
    ],
  }],
  ['an instance cannot keep up with the heartbeats of its clients, and answers nobody else', {
    chance: 1150007757, instances: 1, tailBytes: 1_000_000, writeMs: 4, bus: 'good', commands: [
      { wait: 0, name: 'vm9og6', do: 'kill', instance: 0, milliseconds: 20 },
      { wait: 10, name: 'drzll2', do: 'store', trouble: 'stalled', instance: 0, milliseconds: 4000 },
      { wait: 10, name: 'e2u1ag', do: 'stream', wants: ['>'], from: 'now', capacity: 1_000_000, times: 70 },
      { wait: 30, name: 'tf9u7l', do: 'publish', topic: 'a', messages: 1, times: 8, padding: 300, kind: 'ttl' },
      { wait: 1, name: 'd7m1y6', do: 'stream', wants: ['>'], from: { ago: 1 }, capacity: 1_000_000, times: 70 },
      { wait: 0, name: 'z8crch', do: 'publish', topic: 'a.y', messages: 1, times: 8, padding: 0, kind: 'poison' },
    ],
  }],
];
