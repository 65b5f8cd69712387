import type { OutgoingHttpHeaders } from 'node:http';
import type { SseStream } from './client.ts';
import type { Answer, Http } from './http.ts';

/** What the `$open` of a stream says of it. */
export interface Handle {
  readonly id: string;
  readonly secret: string;
}

export interface Changed {
  readonly topics: readonly string[];
  readonly cursor: string;
}

/** By what a stream's client names it; the stream has begun. */
export function handleOf({ events }: Pick<SseStream, 'events'>): Handle {
  return (JSON.parse(events.find(({ event }) => event === '$open')!.data) as { stream: Handle }).stream;
}

/** Asks for other topics of a stream, whatever becomes of it. */
export function askToChange(http: Pick<Http, 'send'>, { id, secret }: Handle, change: { readonly add?: readonly string[]; readonly remove?: readonly string[] }, headers: OutgoingHttpHeaders = {}, query = ''): Promise<Answer> {
  return http.send('PATCH', `/streams/${id}${query}`, { 'content-type': 'application/json', ...headers }, JSON.stringify({ secret, ...change }));
}

/** Changes the topics of a stream. */
export async function change(http: Pick<Http, 'send'>, handle: Handle, wanted: Parameters<typeof askToChange>[2], headers: OutgoingHttpHeaders = {}): Promise<Changed> {
  const { status, body } = await askToChange(http, handle, wanted, headers);
  if (status !== 200) throw new Error(`PATCH /streams/${handle.id}: ${status} ${body}`);
  return JSON.parse(body) as Changed;
}
