import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { App } from '../../../src/http/service.ts';

/** One request as it arrived. */
export interface Arrival {
  readonly method: string;
  /** Whether the HTTP server was given it: then it took the ordinary way. */
  readonly ordinary: boolean;
  /** Its head, and in how many pieces it was read. */
  readonly head: string;
}

const HEAD_END = '\r\n\r\n';
/** Where a request begins: at the beginning of what came, or right behind the body of another one. */
const REQUEST_LINE = /(GET|POST|HEAD|OPTIONS) (\/\S*) HTTP\/1\.[01]\r\n/g;
/** Stands in a head where one read of the server's socket ended and the next began. */
const NEXT_PIECE = '⟨next piece⟩';

/** Writes down what arrives on a server's sockets, byte by byte, and which requests the HTTP server was given. Neither edge notices. */
export class Recorder {
  readonly #pieces = new Map<Socket, string[]>();
  readonly #ordinary: IncomingMessage[] = [];

  /** Begins before the server listens. */
  watch({ server }: App): void {
    server.on('connection', (socket: Socket) => {
      const pieces: string[] = [];
      this.#pieces.set(socket, pieces);
      const push = socket.push.bind(socket);
      // Every read goes through this, until the HTTP server has taken the connection over.
      socket.push = (bytes: Buffer | null, encoding?: BufferEncoding) => {
        if (bytes !== null) pieces.push(bytes.toString('latin1'));
        return push(bytes, encoding);
      };
    });
    server.on('request', (request: IncomingMessage) => void this.#ordinary.push(request));
  }

  /** The requests with this word in their target. */
  arrivals(word: string): Arrival[] {
    const ordinary = this.#ordinary.filter(({ url }) => hasWord(url!, word));
    const seen = [...this.#pieces].flatMap(([socket, pieces]) => requestsIn(pieces, word).map((request) => {
      const index = ordinary.findIndex((one) => one.socket === socket && one.method === request.method);
      if (index !== -1) ordinary.splice(index, 1);
      return { ...request, ordinary: index !== -1 };
    }));
    // What comes on a connection that the HTTP server has is seen as that server read it.
    const later = ordinary.map(({ method, url, httpVersion, rawHeaders }) => {
      const lines = rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${rawHeaders[index + 1]}`] : []));
      return { method: method!, ordinary: true, head: ['(on a connection that had taken the ordinary way before)', `${method} ${url} HTTP/${httpVersion}`, ...lines].join('\n') };
    });
    return [...seen, ...later];
  }

  /** The server's ends of the connections on which they came. */
  sockets(word: string): Socket[] {
    const seen = [...this.#pieces].filter(([, pieces]) => requestsIn(pieces, word).length > 0).map(([socket]) => socket);
    return [...seen, ...this.#ordinary.filter(({ url }) => hasWord(url!, word)).map(({ socket }) => socket)];
  }
}

function hasWord(target: string, word: string): boolean {
  return target.split(/[^a-z0-9]/).includes(word);
}

function requestsIn(pieces: readonly string[], word: string): { method: string; head: string }[] {
  const text = pieces.join('');
  if (!text.includes(word)) return [];
  let sum = 0;
  const borders = pieces.map(({ length }) => (sum += length));
  return [...text.matchAll(REQUEST_LINE)].filter(([, , target]) => hasWord(target!, word)).map(({ index: start, 1: method }) => {
    const end = text.indexOf(HEAD_END, start);
    const head = cut(text.slice(start, end), borders.map((border) => border - start)).replaceAll('\r\n', '\n');
    const lengths = borders.filter((border) => border > start).map((border, index, all) => border - (all[index - 1] ?? start));
    return { method: method!, head: `${head}\n(${end + HEAD_END.length - start} bytes; read in pieces of ${lengths.join(', ')})` };
  });
}

/** Marks places in a text. */
function cut(text: string, places: readonly number[]): string {
  const inside = places.filter((place) => place > 0 && place < text.length);
  return [0, ...inside].map((place, index) => text.slice(place, inside[index])).join(NEXT_PIECE);
}
