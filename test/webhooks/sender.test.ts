import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import t from 'tap';
import { readWebhookAllow } from '../../src/config/webhook-allow.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Sender, type Outcome, type Sending } from '../../src/webhooks/sender.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

const DELIVERY = { id: 'abcdefgh-1', type: 'application/json', body: Buffer.from('{}') };
const receiver = await WebhookReceiver.start(t);

function send(url: string, { allow = '127.0.0.1', timeoutMs = 60_000, resolve, ...parts }: { allow?: string; timeoutMs?: number; resolve?: (host: string) => Promise<readonly string[]> } & Partial<Sending> = {}): Promise<Outcome> {
  const sender = new Sender({ allow: readWebhookAllow(allow), timeoutMs, clock: systemClock, ...(resolve === undefined ? {} : { resolve }) });
  return sender.send({ url, delivery: DELIVERY, headers: { 'webhook-id': DELIVERY.id }, signal: new AbortController().signal, mayStillSend: () => true, ...parts });
}

/** A receiver that answers with these bytes. */
async function answering(t: Scope, bytes: string, ends = true): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => void (ends ? socket.end(bytes) : socket.write(bytes)));
    t.teardown(() => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

t.test('a name that resolves to an address inside is not connected to, however its answer changes', async (t) => {
  const url = `http://changing.example:${receiver.port}/changing`;
  const answers = [['93.184.216.34', '127.0.0.1'], ['127.0.0.1']];
  const inside = await send(url, { allow: '', resolve: () => Promise.resolve(answers.at(-1)!) });
  t.match(inside, { status: undefined, error: /not on the public internet/ });
  t.match(await send(url, { allow: '', resolve: () => Promise.resolve([]) }), { error: /no address/ });
  t.equal(receiver.at('/changing').length, 0);
  // It is resolved once for each attempt: the second answer is for the second attempt, and is judged anew.
  let asked = 0;
  const resolve = (): Promise<readonly string[]> => Promise.resolve(asked++ === 0 ? ['127.0.0.1'] : ['127.0.0.2']);
  t.match(await send(url, { resolve }), { status: 204 });
  t.match(await send(url, { resolve }), { error: /not on the public internet/ });
  t.equal(asked, 2);
  t.equal(receiver.at('/changing').length, 1);
  t.equal(receiver.at('/changing')[0]!.headers['host'], `changing.example:${receiver.port}`);
});

t.test('of several addresses only those are connected to that are allowed', async (t) => {
  t.match(await send(`http://mixed.example:${receiver.port}/mixed`, { resolve: () => Promise.resolve(['127.0.0.2', '10.0.0.1', '127.0.0.1']) }), { status: 204 });
});

t.test('an address that is written in the URL is judged as well', async (t) => {
  for (const host of ['127.0.0.2', '[::1]', '2130706434']) t.match(await send(`http://${host}:${receiver.port}/literal`), { status: undefined, error: /not on the public internet/ }, host);
  t.equal(receiver.at('/literal').length, 0);
});

t.test('over TLS the certificate must be for the name of the URL, and from an authority that is known', async (t) => {
  const folder = tempFolder(t);
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=tls.example', '-addext', 'subjectAltName=DNS:tls.example', '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' });
  const cert = readFileSync(certFile, 'utf8');
  const names: unknown[] = [];
  const server = createTlsServer({ key: readFileSync(keyFile), cert }, (request, response) => {
    names.push((request.socket as TLSSocket).servername);
    response.end('over TLS');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const resolve = (): Promise<readonly string[]> => Promise.resolve(['127.0.0.1']);
  t.match(await send(`https://tls.example:${port}/`, { resolve }), { status: undefined, error: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  const before = getCACertificates('default');
  setDefaultCACertificates([cert]);
  t.teardown(() => setDefaultCACertificates(before));
  t.match(await send(`https://tls.example:${port}/`, { resolve }), { status: 200, excerpt: 'over TLS' });
  t.match(await send(`https://other.example:${port}/`, { resolve }), { status: undefined, error: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  t.same(names, ['tls.example']);
});

t.test('a sender that froze before the connection was there sends nothing', async (t) => {
  let asked = 0;
  t.match(await send(`${receiver.url}/late`, { mayStillSend: () => asked++ > 0 }), { status: undefined, error: /lease/ });
  t.equal(asked, 1, 'it was asked once the connection was there');
  t.equal(receiver.at('/late').length, 0);
});

t.test('answers are bounded, and odd ones are failures with a reason', async (t) => {
  const head = 'HTTP/1.1 200 OK\r\n';
  t.match(await send(await answering(t, `${head}Content-Length: 4\r\n\r\nfine`)), { status: 200, excerpt: 'fine' });
  const long = await send(await answering(t, `${head}Content-Length: 1000000\r\n\r\n${'x'.repeat(200_000)}`, false));
  t.same([long.status, long.excerpt.length], [200, 256], 'no more is read than what is bounded');
  t.match(await send(await answering(t, `${head}\r\nwithout an end`, false)), { status: 200, excerpt: 'without an end' }, 'the status counts, though the answer never ends');
  t.match(await send(await answering(t, 'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n')), { status: 302 }, 'a redirect is an answer, and is not followed');
  t.match(await send(await answering(t, 'HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n')), { status: 503, retryAfter: '7' });
  t.match(await send(await answering(t, 'SSH-2.0-OpenSSH_9.2\r\n')), { status: undefined, error: /^HPE_/ });
  t.match(await send(await answering(t, `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`)), { status: undefined, error: 'HPE_HEADER_OVERFLOW' });
  t.match(await send(await answering(t, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')), { status: undefined, error: String });
  t.match(await send(await answering(t, '')), { status: undefined, error: String }, 'a connection that is closed without an answer');
});

t.test('a receiver that says nothing is given up, and so is an attempt that is ended', async (t) => {
  const silent = await answering(t, '', false);
  t.match(await send(silent, { timeoutMs: 50 }), { status: undefined, error: /no answer within/ });
  const ended = new AbortController();
  const sending = send(silent, { signal: ended.signal });
  ended.abort();
  t.match(await sending, { status: undefined, error: 'ended from here' });
  t.match(await send('http://hanging.example/', { timeoutMs: 50, resolve: () => new Promise(() => undefined) }), { error: /no answer within/ }, 'also while its name is looked up');
});
