/**
 * `node attackers.ts <port> [<kind>,…]`: clients that take all they can of a service, in each way at once, until they are ended. Each kind comes from an address of its own (127.0.1.x), and
 * all in a process of their own, so that a test can tell what the service does to others. It says `<kind> came through` once a round of a kind is over, and what was answered at its end.
 */
import { connect, type Socket } from 'node:net';

const port = Number(process.argv[2]);
const MIB = 1024 * 1024;
/** What a service under attack is set to (worst.test.ts). */
const MESSAGE_BYTES = 2 * MIB;
const BATCH_BYTES = 4 * MIB;

interface Answer {
  readonly status: string;
  readonly text: string;
}

/** A connection from an address that belongs to one kind of attack. */
function open(address: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.1.${address}` });
    socket.once('connect', () => resolve(socket)).once('close', () => resolve(socket)).on('error', () => undefined);
  });
}

function head(method: string, path: string, headers: readonly string[] = [], length = 0): string {
  return `${[`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers, ...(length > 0 ? [`Content-Length: ${length}`] : [])].join('\r\n')}\r\n\r\n`;
}

/** Sends bytes, and resolves with the beginning of what comes first. */
function ask(socket: Socket, ...parts: readonly (string | Buffer)[]): Promise<Answer> {
  return new Promise((resolve) => {
    const settle = (chunk?: Buffer): void => {
      socket.removeListener('data', settle);
      socket.removeListener('close', settle);
      const text = Buffer.isBuffer(chunk) ? chunk.toString('latin1') : '';
      resolve({ status: text.slice(9, 12), text });
    };
    socket.once('data', settle).once('close', settle);
    for (const part of parts) socket.write(part);
  });
}

/** A connection whose client reads the beginning of the first answer, and then nothing. */
async function deaf(address: number, ...parts: readonly (string | Buffer)[]): Promise<Answer> {
  const socket = await open(address);
  const answer = await ask(socket, ...parts);
  socket.pause();
  return answer;
}

const JSON_TYPE = 'Content-Type: application/json';
const LARGE = Buffer.alloc(MESSAGE_BYTES, 'x');
const DEEP = Buffer.from(`[${Array.from({ length: 900 }, (_, index) => `{"topic":"deep.${index}","data":${'['.repeat(2_000)}${']'.repeat(2_000)}}`).join(',')}]`);
const WIDE = Buffer.from(`[${Array.from({ length: 1_000 }, (_, index) => `{"topic":"wide.${index % 10}","data":"€${'x'.repeat(4_000)}"}`).join(',')}]`);
const MANY = Buffer.from(`[${Array.from({ length: 1_000 }, (_, index) => `{"topic":"a${index}.${'b.'.repeat(120)}c","data":1}`).join(',')}]`);

/** Small, and as many messages as are allowed. */
const CROWD = Buffer.from(`[${Array.from({ length: 1_000 }, () => '{"topic":"crowd.a.b.c","data":[1,2]}').join(',')}]`);

function query(topics: readonly string[]): string {
  return topics.map((topic) => `topic=${topic}`).join('&');
}

/** A request whose answer waits, and what takes most of a head for its bytes. */
const WAITING = head('GET', '/topics/nothing/messages?wait=20');
const SHORT = Array.from({ length: 900 }, (_, index) => `x${index}:${index}\r\n`).join('');

interface Attack {
  /** How many do it at once, again and again. */
  readonly clients: number;
  /** Between two rounds: what costs the attacker little must not leave the others no time. Milliseconds. */
  readonly rest?: number;
  readonly round: (index: number) => Promise<string>;
}

/** By their names. */
const ATTACKS: Readonly<Record<string, Attack>> = {
  filters: { clients: 4, round: async (index) => {
    const { text } = await deaf(1, head('GET', `/events?${query(Array.from({ length: 100 }, (_, topic) => `${index}.${topic}.`.padEnd(245, 'x')))}`));
    return text.includes('$busy') ? 'busy' : text.slice(9, 12);
  } },
  patterns: { clients: 2, round: async (index) => {
    const { text } = await deaf(2, head('GET', `/events?${query(Array.from({ length: 100 }, (_, topic) => `a${index % 1000}.${'*.'.repeat(topic % 7)}x${topic}.>`))}`));
    return text.includes('$busy') ? 'busy' : text.slice(9, 12);
  } },
  unread: { clients: 2, round: async (index) => {
    await deaf(3, head('GET', `/topics/unread.${index % 40}/events`));
    const socket = await open(3);
    const { status } = await ask(socket, head('POST', `/topics/unread.${index % 40}`, [], LARGE.length), LARGE);
    socket.destroy();
    return status;
  } },
  pages: { clients: 6, round: async (index) => (await deaf(4, head('GET', `/messages?topic=wide.*&limit=1000`).repeat(1 + index % 3))).status },
  batches: { clients: 24, round: async (index) => {
    const body = [DEEP, WIDE, MANY][index % 3]!;
    const socket = await open(5);
    const { status } = await ask(socket, head('POST', '/messages', [JSON_TYPE], body.length), body);
    socket.destroy();
    return status;
  } },
  crowds: { clients: 1, round: async () => {
    const sockets = await Promise.all(Array.from({ length: 60 }, () => open(13)));
    const answers = await Promise.all(sockets.map((socket) => ask(socket, head('POST', '/messages', [JSON_TYPE], CROWD.length), CROWD)));
    for (const socket of sockets) socket.destroy();
    return answers.at(-1)!.status;
  } },
  halves: { clients: 4, round: async () => {
    const socket = await open(6);
    const answer = ask(socket, head('POST', '/messages', [JSON_TYPE], BATCH_BYTES), Buffer.alloc(BATCH_BYTES - 1, ' '));
    const { status } = await Promise.race([answer, pause(2_000)]);
    return status;
  } },
  heads: { clients: 4, rest: 100, round: async (index) => {
    const socket = (await open(7)).resume();
    socket.write(`${index % 2 === 0 ? WAITING : ''}GET /topics/a/events HTTP/1.1\r\nHost: localhost\r\n${index % 3 === 0 ? SHORT : `X: ${'x'.repeat(60_000)}`}`);
    return 'sent';
  } },
  polls: { clients: 1, rest: 300, round: async () => (await Promise.race([deaf(8, head('GET', '/topics/nothing/messages?wait=50').repeat(100)), pause(100)])).status },
  singles: { clients: 16, round: async () => {
    const socket = await open(9);
    let status = '';
    for (let count = 0; count < 50; count++) ({ status } = await ask(socket, head('POST', '/topics/single', [`Idempotency-Key: ${Math.random()}`], 100), 'x'.repeat(100)));
    socket.destroy();
    return status;
  } },
  replays: { clients: 8, round: async (index) => {
    const socket = await open(10);
    // Some have a group of their own, for which the log is read again.
    const { text } = await ask(socket, head('GET', index % 2 === 0 ? '/topics/>/events?after=start' : `/events?topic=>&topic=own.${index}&after=start`));
    await pause(300);
    socket.destroy();
    return text.includes('$busy') ? 'busy' : text.slice(9, 12);
  } },
  searches: { clients: 16, round: async (index) => {
    const socket = await open(11);
    const path = ['/topics/none.*.x/events?last=1000', '/topics/none.>/events?since=1h', '/topics/wide.*/messages?since=2000-01-01T00:00:00Z', '/topics/rare.x/messages'][index % 4]!;
    const { status } = await ask(socket, head('GET', path));
    socket.destroy();
    return status;
  } },
  streams: { clients: 2, rest: 20, round: async (index) => {
    const socket = (await open(14)).resume();
    const { text } = await ask(socket, head('GET', `/topics/quiet.${index}/events`));
    return text.includes('$busy') ? 'busy' : text.slice(9, 12);
  } },
  churn: { clients: 8, rest: 500, round: async () => {
    const socket = await open(12);
    socket.write('nonsense\r\n\r\n');
    socket.destroy();
    return 'gone';
  } },
};

function pause(milliseconds: number): Promise<Answer> {
  return new Promise((resolve) => void setTimeout(() => resolve({ status: 'waits', text: '' }), milliseconds));
}

const kinds = process.argv[3] === undefined ? Object.keys(ATTACKS) : process.argv[3].split(',');
const results: Record<string, Record<string, number>> = {};
for (const kind of kinds) {
  const { clients, rest = 5, round } = ATTACKS[kind]!;
  const counts: Record<string, number> = (results[kind] = {});
  let index = 0;
  const work = async (): Promise<void> => {
    for (;;) {
      const result = await round(index++);
      counts[result] = (counts[result] ?? 0) + 1;
      if (counts[result] === 1) process.stdout.write(`${kind} came through: ${result}\n`);
      await pause(rest);
    }
  };
  for (let client = 0; client < clients; client++) void work();
}
process.on('SIGTERM', () => process.stdout.write(`attacked ${JSON.stringify(results)}\n`, () => process.exit(0)));
process.stdout.write('attacking\n');
