import { createParser, type EventSourceMessage } from 'eventsource-parser';
import t from 'tap';
import { Receiver } from 'ws';
import type { Outlet, StreamOptions } from '../../src/delivery/reader/stream-socket.ts';
import { busyFrame, cursorFrame, erasedFrame, expiringFrame, gapFrame, openFrame, presenceFrame, topicsFrame, type ControlWriter } from '../../src/delivery/frames/sse.ts';
import { CLOSE_CODES, closeFrame, controlTextFrame, keptMessageTextFrame, presenceTextFrame, textFrame } from '../../src/delivery/frames/text-frame.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import { Message, toJson } from '../../src/model/message.ts';
import { Filter } from '../../src/model/topic.ts';
import { begin } from '../support/spine.ts';

/** Frames of WebSockets as readers write them, read by the library that reads them for most clients. */

declare module 'ws' {
  /** It is exported, but its types are not. */
  export class Receiver {
    constructor(options: { readonly isServer: boolean });
    on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): this;
    on(event: 'ping', listener: (data: Buffer) => void): this;
    on(event: 'conclude', listener: (code: number, reason: Buffer) => void): this;
    write(bytes: Uint8Array): boolean;
  }
}

/** What a client reads of some bytes: texts, `ping`, and how it ends. */
function read(bytes: Uint8Array): string[] {
  const seen: string[] = [];
  new Receiver({ isServer: false })
    .on('message', (data, isBinary) => void seen.push(isBinary ? 'binary' : data.toString()))
    .on('ping', () => void seen.push('ping'))
    .on('conclude', (code, reason) => void seen.push(`close ${code} ${reason.toString()}`))
    .write(bytes);
  return seen;
}

function parsed(bytes: Uint8Array): unknown {
  return JSON.parse(read(bytes)[0]!);
}

const AT = { epoch: 'log', seq: 7 };

t.test('an event about the stream says the same as a text frame and as an event', async (t) => {
  const frames: readonly ((write?: ControlWriter) => Buffer)[] = [
    (write) => openFrame(AT, 1234, { id: 'i', secret: 's' }, write), (write) => openFrame(undefined, 1234, undefined, write), (write) => cursorFrame(AT, write), (write) => topicsFrame(AT, ['a', 'b.>'], write),
    (write) => gapFrame(AT, { requested: null, resumed: 'log-7', oldest: 'log-1', reason: 'expired' }, write), (write) => expiringFrame(60, write), (write) => erasedFrame(AT, { id: 'log-3', topic: 'ä' }, write), (write) => busyFrame(99, 'draining', write),
    (write) => write === undefined ? presenceFrame('{"topic":"ü"}') : presenceTextFrame(presenceFrame('{"topic":"ü"}')),
  ];
  for (const frame of frames) {
    let retryMs: number | undefined;
    const events: EventSourceMessage[] = [];
    createParser({ onEvent: (event) => void events.push(event), onRetry: (retry) => { retryMs = retry; } }).feed(frame().toString());
    const [{ event, id, data }] = events as [EventSourceMessage];
    t.same(parsed(frame(controlTextFrame)), { ...(id === undefined ? {} : { id }), event, ...(retryMs === undefined ? {} : { retryMs }), data: JSON.parse(data) as unknown });
  }
});

t.test('a message of any length is one frame, which ends where the next begins', async (t) => {
  for (const length of [0, 1, 50, 125, 126, 200, 65_535, 65_536, 200_000]) {
    const message = new Message('log', 9, 0, 0, { topic: 'a', event: undefined, json: false, data: Buffer.alloc(length, 'é') });
    const { bytes } = keptMessageTextFrame(message);
    t.same(read(Buffer.concat([bytes, textFrame(Buffer.from('{}'))])), [toJson(message).toString(), '{}'], `${length} bytes`);
    t.equal(bytes.buffer.byteLength, bytes.length, 'it keeps nothing else in memory');
    message.erase();
    t.match(parsed(keptMessageTextFrame(message).bytes), { event: '$erased', id: 'log-9', data: { id: 'log-9', topic: 'a' } });
  }
});

t.test('a reason that is too long for a close frame is cut', async (t) => {
  t.same(read(closeFrame(1008, 'x'.repeat(200))), [`close 1008 ${'x'.repeat(123)}`]);
});

/** A socket whose bytes a client reads. */
class SocketOutlet implements Outlet {
  readonly buffers: Uint8Array[] = [];
  writableLength = 0;
  writableNeedDrain = false;
  ended = false;
  isStuck = false;

  get seen(): string[] {
    return this.buffers.flatMap((bytes) => read(bytes));
  }

  write(bytes: Uint8Array): boolean {
    this.buffers.push(bytes);
    if (this.isStuck) {
      this.writableLength += bytes.length;
      this.writableNeedDrain = true;
    }
    return !this.isStuck;
  }

  destroySoon(): void {
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
  }
}

const OPTIONS: StreamOptions = { form: 'websocket', control: true, chunked: false, lastChunk: false };

async function opened(t: Parameters<typeof begin>[0]) {
  const spine = await begin(t, { heartbeatMs: 1000 });
  const open = (options: Partial<StreamOptions> = {}, topics = ['a']) => {
    const outlet = new SocketOutlet();
    const reader = spine.streams.open(FULL_GRANT, new Filter(topics), { ...OPTIONS, ...options }, outlet, { at: spine.tail.position, gap: undefined });
    return { outlet, reader };
  };
  return { ...spine, open };
}

t.test('all WebSockets of a group are written the same bytes, which are made once', async (t) => {
  const { open, publish, clock, streams } = await opened(t);
  const all = [open(), open(), open()];
  await clock.advance(1);
  for (const { outlet } of all) outlet.buffers.length = 0;
  publish('a', 'one');
  publish('a', 'two');
  await clock.advance(100);
  const [first, ...others] = all.map(({ outlet }) => outlet.buffers[0]);
  t.match(read(first!).map((text) => JSON.parse(text) as unknown), [{ data: 'one' }, { data: 'two' }], 'in one write');
  for (const other of others) t.equal(other, first, 'the same buffer');
  const apart = open({}, ['a', 'b']);
  await clock.advance(1);
  publish('a', 'alone');
  await clock.advance(100);
  t.equal(apart.outlet.buffers.at(-1), all[0]!.outlet.buffers.at(-1), 'those of another group, too');
  for (const { reader } of [...all, apart]) streams.closed(reader);
});

t.test('a client that answers no ping for STALL_SECONDS is cut, and one that says anything is not', async (t) => {
  const { open, clock, counters } = await opened(t);
  const [silent, heard, full] = [open(), open(), open()];
  await clock.advance(1);
  full.outlet.isStuck = true;
  // The socket is found full by a ping; after that nothing is written to it.
  const rounds = 40;
  for (let second = 0; second < rounds; second++) {
    await clock.advance(1000);
    heard.reader.heard();
  }
  t.equal(silent.outlet.ended, true);
  const pings = silent.outlet.seen.filter((text) => text === 'ping').length;
  t.equal(pings, 31, 'the last one 30 s after the first that was not answered');
  t.equal(heard.outlet.ended, false);
  t.equal(heard.outlet.seen.filter((text) => text === 'ping').length, rounds);
  t.equal(heard.outlet.seen.filter((text) => text.includes('$cursor')).length, rounds / 2, 'every second time its page can see it, too');
  t.equal(full.outlet.seen.filter((text) => text === 'ping').length, 1, 'nothing queues');
  t.equal(counters.cut.gone, 1);
});

t.test('a WebSocket ends with the reason and its code', async (t) => {
  const { open, streams, clock } = await opened(t);
  for (const [reason, code] of Object.entries(CLOSE_CODES)) {
    const { outlet, reader } = open();
    const silent = open({ control: false });
    await clock.advance(1);
    for (const each of [reader, silent.reader]) streams.end(each, reason as keyof typeof CLOSE_CODES, 77);
    t.match(outlet.seen.slice(-2).map((text) => text.startsWith('close') ? text : JSON.parse(text) as unknown), [{ event: '$busy', retryMs: 77, data: { reason } }, `close ${code} ${reason}: come back after 77 ms`]);
    t.same(silent.outlet.seen, [`close ${code} ${reason}: come back after 77 ms`]);
    await clock.advance(300);
    t.equal(outlet.ended, true);
    for (const each of [reader, silent.reader]) streams.closed(each);
  }
});
