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
];
