import type { StreamFraming } from '../../delivery/frames/http-chunk.ts';

/** The head of a response whose body goes on for ever. */
export function streamHead(headers: Readonly<Record<string, string>>, { chunked, lastChunk }: StreamFraming, keepsAlive: boolean): string {
  let head = 'HTTP/1.1 200 OK\r\n';
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
  // After a last chunk, the client would send its next request on a connection that is about to be closed.
  const connection = keepsAlive && !lastChunk ? 'keep-alive' : 'close';
  return `${head}date: ${httpDate()}\r\nconnection: ${connection}\r\n${chunked ? 'transfer-encoding: chunked\r\n' : ''}\r\n`;
}

let second = 0;
let date = '';

/** The time as `Date` has it (RFC 9110, section 5.6.7), formatted once a second. */
export function httpDate(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    date = new Date(now * 1000).toUTCString();
  }
  return date;
}
