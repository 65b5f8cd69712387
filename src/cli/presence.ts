import type { Command } from 'commander';
import { topicQuery } from '../client/topics.ts';
import { follow } from './follow.ts';
import { onInterruption } from './interruption.ts';
import { printList, printWhole } from './lists.ts';
import { answerIn } from './outcome.ts';
import { cell, print, printJson } from './output.ts';
import { remote, requestsTo, type RemoteOptions } from './remote.ts';

interface PresenceOptions extends RemoteOptions {
  readonly watch?: true;
}

/** `tidings presence`. */
export function addPresenceCommand(program: Command): void {
  remote(program.command('presence')).description('Who listens: the members of one topic, or counts of several.')
    .argument('<topics...>', 'topics and patterns, as the streams name them')
    .option('--watch', 'tells who comes and goes, until it is interrupted')
    .addHelpText('after', '\nExamples:\n  $ tidings presence room.7\n  $ tidings presence room.7 room.8 --json\n')
    .action(async (topics: string[], options: PresenceOptions) => {
      if (options.watch === true) return watch(topics, options);
      const [topic, ...others] = topics;
      const json = options.json === true;
      if (others.length > 0) return printWhole(requestsTo(options), { path: `/presence?${topicQuery(topics).toString()}`, member: 'topics', json });
      return printList(requestsTo(options), { path: `/topics/${encodeURIComponent(topic!)}/presence`, member: 'members', columns: ['id', 'streams', 'since', 'meta'], json });
    });
}

interface Member {
  readonly id: string;
  readonly streams: number;
}

/** The data of a `$presence` event (docs/presence.md). */
interface PresenceEvent {
  readonly topic: string;
  readonly streams: number;
  readonly members?: readonly Member[];
  readonly joined?: readonly Member[];
  readonly changed?: readonly Member[];
  readonly left?: readonly string[];
  readonly count?: number;
}

async function watch(topics: readonly string[], options: PresenceOptions): Promise<void> {
  const stop = new AbortController();
  onInterruption((code) => {
    process.exitCode = code;
    stop.abort();
  });
  await follow(requestsTo(options), {
    message: () => Promise.resolve(),
    moved: () => undefined,
    presence: async (source) => {
      if (options.json === true) return printJson(source);
      const { topic, streams, members, joined = [], changed = [], left = [], count } = answerIn<PresenceEvent>(source);
      const line = (what: string): Promise<void> => print(`${cell(topic)} ${what}`);
      if (members !== undefined) return line(`${counted(streams)}: ${cell(members.map(({ id }) => id))}`);
      if (count !== undefined) return line(`${counted(streams)} of ${count} members`);
      for (const { id } of joined) await line(`+ ${cell(id)}`);
      for (const { id, streams: own } of changed) await line(`= ${cell(id)} ${counted(own)}`);
      for (const id of left) await line(`- ${cell(id)}`);
    },
  }, { topics, start: {}, withPresence: true, signal: stop.signal });
}

function counted(streams: number): string {
  return `${streams} ${streams === 1 ? 'stream' : 'streams'}`;
}
