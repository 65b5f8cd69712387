import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { EventSource } from 'eventsource';
import { createEventSource } from 'eventsource-client';
import { createParser } from 'eventsource-parser';
import { EventSource as UndiciEventSource } from 'undici';
import { need } from '../../support/programs.ts';
import type { Scope } from '../../support/temp.ts';

/** An event as the application behind a client got it. */
export interface Received {
  /** Its name; `message` where it had none. */
  readonly event: string;
  readonly data: string;
  readonly id: string;
}

/** One stream of a client, from its application's side. */
export interface Client {
  readonly received: readonly Received[];
  /** Set once the client said that it will not come back by itself. */
  readonly gaveUp: string | undefined;
  /** What it reported as an error after its stream had begun, where that can be seen. */
  readonly raised?: readonly string[];
  close(): void;
}

/** A program or library that reads streams and reconnects by itself, none of it ours. */
export interface Kind {
  readonly name: string;
  /** Whether one handler gets events of every name. The others, as the standard has it, get an event only where they listen for its name. */
  readonly oneHandler: boolean;
  /**
   * Whether it goes on after an id as soon as the id's line is there, before it hands the event over at the blank line. Cut
   * between the two it loses that event. No order of the fields can help: the blank line must come after some line. With the id's line last it is
   * this one byte of a frame; with any other order it would be all that stands after the id.
   */
  readonly trustsIdLine: boolean;
  /** Opens a stream, and closes it when the test is over. */
  open(t: Scope, url: string): Client;
}

/** The names that clients listen for which must name them. `message` comes through `onmessage`. */
export const NAMED_EVENTS = ['$open', '$cursor', '$gap', '$busy', 'note', 'update.done'] as const;

const CURL_READER = join(import.meta.dirname, 'curl-reader.sh');
const PYTHON_READER = join(import.meta.dirname, 'reader.py');
/** How both readers tell of an error: as a comment. */
const RAISED = 'raised ';

/** Process groups of programs that run. */
const groups = new Set<number>();
// When the test's own process ends before its teardown, nothing is left behind either.
process.once('exit', () => groups.forEach((group) => process.kill(-group, 'SIGKILL')));

/** A program that prints the events of its streams, and comes back in a loop of its own. */
function program(name: string, command: string, args: readonly string[]): Kind {
  return {
    name,
    oneHandler: true,
    trustsIdLine: false,
    open(t, url) {
      const received: Received[] = [];
      const raised: string[] = [];
      const parser = createParser({
        onEvent: ({ event = 'message', data, id = '' }) => void received.push({ event, data, id }),
        onComment: (text) => void (text.startsWith(RAISED) && raised.push(text)),
      });
      const child = spawn(command, [...args, url], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
      const group = child.pid;
      if (group === undefined) throw new Error(`${command} cannot be started`);
      groups.add(group);
      const client = {
        received,
        raised,
        gaveUp: undefined as string | undefined,
        close: () => void (groups.delete(group) && process.kill(-group, 'SIGKILL')),
      };
      child.stdout.setEncoding('utf8').on('data', (text: string) => parser.feed(text));
      child.once('exit', (code) => {
        if (groups.delete(group)) client.gaveUp = `it ended with ${code}`;
      });
      t.teardown(() => client.close());
      return client;
    },
  };
}

/** What the standard's interface has, as far as it is used here. */
interface StandardSource {
  onmessage: ((event: MessageEvent) => unknown) | null;
  onerror: ((event: Event) => unknown) | null;
  readonly readyState: number;
  addEventListener(type: string, listener: (event: MessageEvent) => unknown): void;
  close(): void;
}

const CLOSED = 2;

/** Required, because its types describe its CommonJS form also to those who import the other one. */
export const { default: ReconnectingEventSource } = createRequire(import.meta.url)('reconnecting-eventsource') as {
  default: new (url: string, options: { eventSourceClass: typeof EventSource; max_retry_time?: number }) => StandardSource;
};

function standard(name: string, create: (url: string) => StandardSource): Kind {
  return {
    name,
    oneHandler: false,
    trustsIdLine: false,
    open(t, url) {
      const received: Received[] = [];
      const source = create(url);
      const client = { received, gaveUp: undefined as string | undefined, close: () => source.close() };
      const listen = ({ type, data, lastEventId }: MessageEvent): void => void received.push({ event: type, data: data as string, id: lastEventId });
      source.onmessage = listen;
      for (const event of NAMED_EVENTS) source.addEventListener(event, listen);
      source.onerror = () => {
        if (source.readyState === CLOSED) client.gaveUp = 'it is closed';
      };
      t.teardown(() => client.close());
      return client;
    },
  };
}

const eventsourceClient: Kind = {
  name: 'eventsource-client',
  oneHandler: true,
  trustsIdLine: false,
  open(t, url) {
    const received: Received[] = [];
    const source = createEventSource({
      url,
      onMessage: ({ event = 'message', data, id = '' }) => void received.push({ event, data, id }),
    });
    t.teardown(() => source.close());
    return { received, gaveUp: undefined, close: () => source.close() };
  },
};

const OldEventSource = createRequire(import.meta.url)('eventsource-2') as new (url: string) => StandardSource;

/** Those that need no browser, and are cut at every byte, too. */
export const programs: readonly Kind[] = [
  program('curl -N in a loop', 'bash', [CURL_READER]),
  standard('eventsource', (url) => new EventSource(url)),
  eventsourceClient,
  standard('reconnecting-eventsource', (url) => new ReconnectingEventSource(url, { eventSourceClass: EventSource })),
];

/** The others that need no browser. */
export const furtherPrograms: readonly Kind[] = [
  standard('eventsource 2', (url) => new OldEventSource(url)),
  standard("undici's EventSource", (url) => new UndiciEventSource(url) as StandardSource),
  ...['requests', 'httpx'].map((library) => program(`Python's ${library} in a loop`, need('python3'), [PYTHON_READER, library])),
];
