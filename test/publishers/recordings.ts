import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One request, byte for byte as a program sent it, but for the host and the topic. */
export interface Recording {
  /** Where it comes from: the program and its version, or the published example. */
  readonly source: string;
  readonly name: string;
  /** What was called, or set, to have it sent. */
  readonly how: string;
  /** Its lines up to the empty one. Latin-1, as HTTP has it. */
  readonly head: readonly string[];
  /** What follows, framing included: text, or in base64 what is none. */
  readonly body: Buffer;
}

interface File {
  readonly source: string;
  readonly requests: readonly (Omit<Recording, 'source' | 'body'> & { readonly body?: string; readonly base64?: string })[];
}

const FOLDER = join(import.meta.dirname, 'recordings');

export const RECORDINGS: readonly Recording[] = readdirSync(FOLDER).sort().flatMap((name) => {
  const { source, requests } = JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as File;
  return requests.map(({ body, base64, ...rest }) => ({ ...rest, source, body: base64 === undefined ? Buffer.from(body ?? '') : Buffer.from(base64, 'base64') }));
});

/** What stands for the receiver in a recording. */
export interface Receiver {
  readonly host: string;
  readonly topic: string;
}

/** The head as it goes to a receiver, with its empty line. A body whose sender waits to be told to go on follows later. */
export function headBytes({ head }: Recording, { host, topic }: Receiver): Buffer {
  return Buffer.from(`${head.join('\r\n').replaceAll('{host}', host).replaceAll('{topic}', topic)}\r\n\r\n`, 'latin1');
}

/** The value of a header; undefined where it is not there. */
export function headerOf({ head }: Recording, name: string): string | undefined {
  const prefix = `${name.toLowerCase()}:`;
  return head.slice(1).find((line) => line.toLowerCase().startsWith(prefix))?.slice(prefix.length).trim();
}

/** What the sender means by the body: without the framing of chunks. */
export function contentOf(recording: Recording): Buffer {
  if (headerOf(recording, 'transfer-encoding') !== 'chunked') return recording.body;
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = recording.body.indexOf('\r\n', at);
    const size = parseInt(recording.body.toString('latin1', at, lineEnd), 16);
    if (size === 0) return Buffer.concat(parts);
    parts.push(recording.body.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}
