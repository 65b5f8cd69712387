import t from 'tap';
import { streamFraming } from '../../src/http/stream-framing.ts';

/** What clients send, as it was recorded from each, and whether its streams end with the last chunk. */
const CLIENTS: readonly [client: string, accept: string | undefined, lastChunk: boolean][] = [
  ['a browser\'s EventSource, event-source-polyfill, react-native-sse', 'text/event-stream', false],
  ['@microsoft/fetch-event-source, r3labs/sse: they take it for the end of it all', 'text/event-stream', false],
  ['a client that has written it in its own way', 'Text/Event-Stream', false],
  ['a client that takes other things too', 'application/json, text/event-stream;q=0.9', false],
  ['curl, wget, requests, httpx, aiohttp, sse.js, fetch', '*/*', true],
  ['HTTPie', 'application/json, */*;q=0.5', true],
  ['a browser that shows it', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', true],
  ['a client that takes text', 'text/*', true],
  ['PHP, Go, Java', undefined, true],
  ['a client that says nothing with it', '', true],
];

t.test('a stream ends with the last chunk where its client did not ask for events by name', (t) => {
  for (const [client, accept, lastChunk] of CLIENTS) {
    const headers = accept === undefined ? {} : { accept };
    t.strictSame(streamFraming({ httpVersion: '1.1', headers }), { chunked: true, lastChunk }, client);
    t.strictSame(streamFraming({ httpVersion: '1.0', headers }), { chunked: false, lastChunk: false }, `${client}, over HTTP/1.0`);
  }
  t.end();
});
