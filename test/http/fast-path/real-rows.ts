import type { Test } from 'tap';
import { exchange, requestBytes } from '../../support/raw.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';
import { Recorder, type Arrival } from './recorder.ts';
import { openSpine } from './spine.ts';
import { serve, type Served } from './ways.ts';

/** One kind of request, as somebody sends it, with a topic that no other row has. */
interface Request {
  readonly what: string;
  /** Why it takes the ordinary way. Without a reason it takes the fast path. */
  readonly ordinary?: string | undefined;
}

export interface PublishRow extends Request {
  /** Publishes once, and resolves with the status. */
  readonly publish: (topic: string) => Promise<number>;
}

export interface StreamRow extends Request {
  /** Opens a stream; what is returned tells all that came on it so far, the names of events included. */
  readonly stream: (t: Scope, topic: string) => (() => string) | Promise<() => string>;
  /** What follows the row's topic in the path of the topic that it reads. */
  readonly within?: string;
  /** Whether the client opens it again, by itself, when it is cut. */
  readonly comesBack?: boolean;
}

export type Row = PublishRow | StreamRow;

/** The real service, and what rows are asked of it. */
export interface Rows {
  readonly served: Served;
  readonly url: string;
  /** Carries rows out, one after the other, and compares the way that their requests took. A row that fails shows them as they arrived. */
  readonly check: (t: Test, rows: readonly Row[]) => Promise<void>;
}

export async function serveRows(t: Scope, environment: Readonly<Record<string, string>>): Promise<Rows> {
  const { service } = await openSpine(t, { ALLOWED_HOSTS: 'tidings,tidings.example,tidings.fly.dev,tidings.herokuapp.com', ...environment });
  const recorder = new Recorder();
  const served = await serve(t, service, { prepare: (app) => recorder.watch(app) });
  let count = 0;

  /** Reads a stream until a message has come that was published while it was open; and again, when it was cut, if its client comes back. */
  async function follow(t: Test, { what, stream, within = '', comesBack = false }: StreamRow, topic: string): Promise<void> {
    const text = await stream(t, topic);
    const comes = (that: string, holds: () => boolean): Promise<void> => until(`${what}: ${that}`, holds).catch((error: unknown) => {
      throw new Error([String(error), 'What came:', text(), 'What was asked:', ...recorder.arrivals(topic).map(({ head }) => head)].join('\n'));
    });
    for (let opened = 1; opened <= (comesBack ? 2 : 1); opened++) {
      await comes('the stream is open', () => text().split('$open').length > opened);
      await exchange(t, served, requestBytes('POST', `/topics/${topic}${within}`, {}, `message ${opened}`));
      await comes('the message is there', () => text().includes(`message ${opened}`));
      t.pass(`${what}: a message comes${opened === 1 ? '' : ', also after it came back'}`);
      if (opened === 1 && comesBack) for (const socket of recorder.sockets(topic)) socket.destroy();
    }
  }

  return { served, url: `http://127.0.0.1:${served.port}`, check: async (t, rows) => {
    for (const row of rows) {
      const topic = `row${++count}`;
      if ('publish' in row) t.equal(await row.publish(topic), 201, `${row.what}: it is stored`);
      else await follow(t, row, topic);
      const method = 'publish' in row ? 'POST' : 'GET';
      const arrivals = recorder.arrivals(topic).filter((one) => one.method === method);
      const wanted = row.ordinary === undefined ? 'the fast path' : 'the ordinary way';
      t.equal(ways(arrivals), wanted, `${row.what}: it takes ${wanted}${row.ordinary === undefined ? '' : `, because ${row.ordinary}`}`, { arrived: arrivals.map(({ head }) => head) });
    }
  } };
}

function ways(arrivals: readonly Arrival[]): string {
  return [...new Set(arrivals.map(({ ordinary }) => (ordinary ? 'the ordinary way' : 'the fast path')))].join(' and ');
}
