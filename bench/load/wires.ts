import type { WireName } from '../types.ts';
import { MARKER_BYTES, makeMarker } from './marker.ts';

/** How the clients of each server talk to it. */
export interface Wire {
  readonly name: WireName;
  /** How events are framed below HTTP's head. */
  readonly framing: 'http' | 'websocket';
  /** Whether events carry ids that a stream can come back with. */
  readonly resumes: boolean;
  /** Whether a stream tells by itself where it begins (`$open`); otherwise it is open when its head is there. */
  readonly opensItself: boolean;
  /** The request that opens a stream. @param after Where it begins, for a stream that has no id yet. @param member Who opens it, where presence is measured. */
  open(names: readonly string[], lastId: string | undefined, after?: string, member?: string): string;
  /** The path of a publish to one topic. */
  publishPath(topic: string): string;
  /** The path of an NDJSON batch, where there is one. */
  readonly batchPath?: string;
}

function get(path: string, headers = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n${headers}\r\n`;
}

function lastEventId(id: string | undefined): string {
  return id === undefined ? '' : `Last-Event-ID: ${id}\r\n`;
}

function only(names: readonly string[]): string {
  if (names.length !== 1) throw new Error(`a stream of this server has one topic: ${names.join(' ')}`);
  return encodeURIComponent(names[0]!);
}

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGlkaW5ncy1iZW5jaG1hcg==\r\n';

export const wires: Readonly<Record<WireName, Wire>> = {
  tidings: {
    name: 'tidings', framing: 'http', resumes: true, opensItself: true,
    open(names, lastId, after, member) {
      const from = [...(lastId === undefined && after !== undefined ? [`after=${encodeURIComponent(after)}`] : []), ...(member === undefined ? [] : [`as=${member}`])].join('&');
      if (names.length === 1) return get(`/topics/${only(names)}/events${from === '' ? '' : `?${from}`}`, lastEventId(lastId));
      return get(`/events?${names.map((name) => `topic=${encodeURIComponent(name)}`).join('&')}${from === '' ? '' : `&${from}`}`, lastEventId(lastId));
    },
    publishPath: (topic) => `/topics/${encodeURIComponent(topic)}`,
    batchPath: '/messages',
  },
  'tidings-websocket': {
    name: 'tidings-websocket', framing: 'websocket', resumes: true, opensItself: true,
    open(names, lastId, after, member) {
      const from = lastId === undefined ? after === undefined ? [] : [`after=${encodeURIComponent(after)}`] : [`lastEventId=${encodeURIComponent(lastId)}`];
      const query = [...names.map((name) => `topic=${encodeURIComponent(name)}`), ...from, ...(member === undefined ? [] : [`as=${member}`])].join('&');
      return get(`/events?${query}`, UPGRADE);
    },
    publishPath: (topic) => `/topics/${encodeURIComponent(topic)}`,
    batchPath: '/messages',
  },
  nchan: {
    name: 'nchan', framing: 'http', resumes: true, opensItself: false,
    open: (names, lastId) => get(`/sub/${only(names)}`, lastEventId(lastId)),
    publishPath: (topic) => `/pub/${encodeURIComponent(topic)}`,
  },
  sse: {
    name: 'sse', framing: 'http', resumes: false, opensItself: false,
    open: (names) => get(`/events/${only(names)}`),
    publishPath: (topic) => `/publish/${encodeURIComponent(topic)}`,
  },
  'socket.io': {
    name: 'socket.io', framing: 'websocket', resumes: false, opensItself: true,
    open: () => get('/socket.io/?EIO=4&transport=websocket', UPGRADE),
    publishPath: (topic) => `/publish/${encodeURIComponent(topic)}`,
  },
};

/** A request made once for each topic; the digits of its markers and of its key are written over for each time that it is sent. */
export interface Request {
  readonly bytes: Buffer;
  /** Where its markers begin; one for each message. */
  readonly markers: readonly number[];
  /** Where the digits of its key begin. */
  readonly key: number | undefined;
}

export interface RequestOptions {
  readonly run: number;
  /** The topic's number in the run, and its name. */
  readonly number: number;
  readonly topic: string;
  /** Of a message's data. */
  readonly bytes: number;
  /** Messages; a single one that is no batch if absent. */
  readonly batch?: number | undefined;
  readonly key: boolean;
}

/** The least data of a message: a marker as a JSON string. */
const DATA_BYTES_MIN = MARKER_BYTES + 2;
export const KEY_DIGITS = 12;

export function makeRequest(wire: Wire, { run, number, topic, bytes, batch, key }: RequestOptions): Request {
  if (bytes < DATA_BYTES_MIN) throw new Error(`a message has at least ${DATA_BYTES_MIN} bytes`);
  const marker = makeMarker(run, number);
  const data = `"${marker.padEnd(bytes - 2, 'x')}"`;
  if (batch !== undefined && wire.batchPath === undefined) throw new Error(`${wire.name} takes no batches`);
  const body = batch === undefined ? data : `{"topic":${JSON.stringify(topic)},"data":${data}}\n`.repeat(batch);
  const path = batch === undefined ? wire.publishPath(topic) : wire.batchPath;
  const type = batch === undefined ? 'application/json' : 'application/x-ndjson';
  const idempotency = key ? `Idempotency-Key: bench-${run}-${number}-${'0'.repeat(KEY_DIGITS)}\r\n` : '';
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: ${type}\r\n${idempotency}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  const request = Buffer.from(head + body);
  const markers: number[] = [];
  for (let at = request.indexOf(marker); at !== -1; at = request.indexOf(marker, at + MARKER_BYTES)) markers.push(at);
  return { bytes: request, markers, key: key ? head.indexOf(idempotency) + idempotency.length - 2 - KEY_DIGITS : undefined };
}
