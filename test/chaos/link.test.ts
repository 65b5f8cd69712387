import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Link } from '../support/link.ts';
import { listening } from '../support/listening.ts';

/** A link to a server that sends back what it gets. */
async function echo(t: Test): Promise<Link> {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => socket.destroy()).pipe(socket));
  const link = await Link.start(t, await listening(server));
  t.teardown(() => server.close());
  return link;
}

class Client {
  readonly socket: Socket;
  got = '';
  failed = false;
  readonly closed: Promise<unknown>;

  constructor(t: Test, link: Link) {
    this.socket = connect({ port: link.port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.setEncoding('utf8').on('data', (text: string) => {
      this.got += text;
    });
    this.socket.on('error', () => {
      this.failed = true;
    });
    this.closed = new Promise((resolve) => this.socket.once('close', resolve));
    t.teardown(() => this.socket.destroy());
  }

  async has(text: string): Promise<void> {
    while (this.got.length < text.length) await once(this.socket, 'data');
  }
}

t.test('a link passes everything on, and the end of each side', async (t) => {
  const client = new Client(t, await echo(t));
  const text = 'x'.repeat(3_000_000);
  client.socket.end(text);
  await client.closed;
  t.equal(client.got.length, text.length);
  t.notOk(client.failed);
});

t.test('a link that is slow keeps the order, also when it is well again', async (t) => {
  const link = await echo(t);
  const client = new Client(t, link);
  client.socket.write('before ');
  await client.has('before ');
  link.slow(150);
  const began = performance.now();
  client.socket.write('late ');
  // What the server sends back is as late again.
  await client.has('before late ');
  t.ok(performance.now() - began >= 299, 'both ways');
  client.socket.write('later ');
  setTimeout(() => link.heal(), 50);
  setTimeout(() => client.socket.write('last'), 60);
  await client.has('before late later last');
  t.equal(client.got, 'before late later last');
});

t.test('a cut link resets present and new connections, until it is healed', async (t) => {
  const link = await echo(t);
  const client = new Client(t, link);
  client.socket.write('hello');
  await client.has('hello');
  link.cut();
  await client.closed;
  t.ok(client.failed, 'by a reset');
  const late = new Client(t, link);
  late.socket.write('hello');
  await late.closed;
  t.equal(late.got, '');
  link.heal();
  const again = new Client(t, link);
  again.socket.write('hello');
  await again.has('hello');
});

t.test('a link that is half open says nothing, and resets when it is healed', async (t) => {
  for (const all of [true, false]) {
    const link = await echo(t);
    const old = new Client(t, link);
    old.socket.write('one');
    await old.has('one');
    link.silence(all);
    const fresh = new Client(t, link);
    for (const { socket } of [old, fresh]) socket.write('two');
    if (!all) {
      await fresh.has('two');
      link.heal();
    } else {
      await once(fresh.socket, 'connect');
      // The link takes it in the turn in which it is connected, or the next.
      await sleep(50);
      link.heal();
    }
    await old.closed;
    t.same([old.got, old.failed], ['one', true]);
    if (all) await fresh.closed;
    t.same([fresh.got, fresh.failed], all ? ['', true] : ['two', false], 'a new connection');
  }
});
