import { frames, type Frame } from '../../client/frames.ts';

/** Events of the stream itself. */
export interface StreamNote {
  readonly name: string;
  readonly text: string;
  readonly tone?: 'quiet' | 'warn' | 'bad';
}

/** A `fetch` for the client library, which passes everything on and tells of the stream: its control events, its ends, and its refusals. */
export function tappedFetch(tell: (note: StreamNote) => void): typeof fetch {
  return async (input, init) => {
    if (!isStream(input)) return fetch(input, init);
    let answer: Response;
    try {
      answer = await fetch(input, init);
    } catch (error) {
      if (init?.signal?.aborted !== true) tell({ name: 'no connection', text: 'The service cannot be reached; the next attempt follows by itself.', tone: 'bad' });
      throw error;
    }
    if (!answer.ok || answer.body === null) {
      tell({ name: `HTTP ${answer.status}`, text: answer.ok ? 'The service wants no stream any more.' : 'The service refused the stream.', tone: 'bad' });
      return answer;
    }
    return new Response(answer.body.pipeThrough(tap(tell)), { status: answer.status, headers: answer.headers });
  };
}

function isStream(input: RequestInfo | URL): boolean {
  const url = input instanceof Request ? input.url : String(input);
  return new URL(url, location.href).pathname.endsWith('/events');
}

function tap(tell: (note: StreamNote) => void): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  const decoder = new TextDecoder();
  const push = frames({ frame: (frame) => noteOf(frame, tell), retry: () => undefined });
  return new TransformStream({
    transform(bytes, controller) {
      push(decoder.decode(bytes, { stream: true }));
      controller.enqueue(bytes);
    },
    flush: () => tell({ name: 'end', text: 'The stream ended; the client comes back by itself, from where it was.', tone: 'warn' }),
  });
}

function noteOf({ event, data, id }: Frame, tell: (note: StreamNote) => void): void {
  switch (event) {
    case '$open': return tell({ name: event, text: id === undefined ? 'The stream is open.' : `The stream is open; it reads on after ${id}.` });
    case '$cursor': return tell({ name: event, text: `Nothing for this stream up to ${id ?? 'here'}; the connection lives.` });
    case '$topics': return tell({ name: event, text: `The stream has other topics now: ${data}` });
    case '$expiring': return tell({ name: event, text: `The credential ends soon: ${data}`, tone: 'warn' });
    case '$busy': return tell({ name: event, text: `The service sends this stream away, and says when to come back: ${data}`, tone: 'warn' });
    default:
  }
}
