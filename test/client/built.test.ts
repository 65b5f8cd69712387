import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import t from 'tap';
import { buildClient } from '../support/client-build.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

/** The library as JavaScript: what is committed, served, and imported by its name. */

const BUILT = join(import.meta.dirname, '../../src/client/built');
/** Stops the library from growing unnoticed: what a page waits for, which is the first module alone. With gzip. */
const CORE_MAX_BYTES = 4_096;
/** All that it loads in every page, in the background too. */
const LOADED_MAX_BYTES = 8_192;

const zipped = (text: string): number => gzipSync(text, { level: 9 }).length;

void t.test('the committed build is the one that the sources make', async (t) => {
  const made = await buildClient();
  const files = (await readdir(BUILT, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name, parentPath }) => relative(BUILT, join(parentPath, name)));
  t.strictSame(files.toSorted(), [...made.keys()].toSorted());
  t.notMatch(made.get('client.js'), /BroadcastChannel\(/, 'what is loaded later is not in it');
  for (const [name, text] of made) t.equal(await readFile(join(BUILT, name), 'utf8'), text, `${name}: npm run build`);
  const [core, more] = [made.get('client.js')!, made.get('client/more.js')!];
  t.notMatch(core, /\bimport\b(?!\()|\bfrom\s*"/, 'it waits for no other module');
  t.ok(zipped(core) <= CORE_MAX_BYTES, `${zipped(core)} bytes with gzip, ${brotliCompressSync(core).length} with brotli`);
  t.ok(zipped(core) + zipped(more) <= LOADED_MAX_BYTES, `${zipped(core) + zipped(more)} bytes with gzip`);
});

void t.test('the service has it, with a tag', async (t) => {
  const instance = await startInstance(t, { AUTH: 'on', LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  const answer = await http.get('/client.js', { authorization: 'Bearer of a proxy' });
  t.match([answer.status, answer.headers['content-type'], answer.headers['cache-control']], [200, 'text/javascript; charset=utf-8', 'no-cache']);
  t.equal(answer.body, await readFile(join(BUILT, 'client.js'), 'utf8'));
  const { etag } = answer.headers;
  for (const tag of [etag!, `W/${etag}`, `"other", ${etag}`, '*']) t.match(await http.get('/client.js', { 'if-none-match': tag }), { status: 304, body: '' }, tag);
  t.equal((await http.get('/client.js', { 'if-none-match': '"other"' })).status, 200);
  t.match(await http.send('HEAD', '/client.js'), { status: 200, body: '' });
  t.equal((await http.send('POST', '/client.js')).status, 405);
});

void t.test('the service has what the library loads later, and nothing else', async (t) => {
  const instance = await startInstance(t, { AUTH: 'on', LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  const later = (await readdir(join(BUILT, 'client'))).toSorted();
  const library = await readFile(join(BUILT, 'client.js'), 'utf8');
  const others = await Promise.all(later.map(async (name) => readFile(join(BUILT, 'client', name), 'utf8')));
  const named = [...library.matchAll(/import\("\.\/client\/([^"]+)"\)/g), ...others.flatMap((text) => [...text.matchAll(/import\("\.\/([^"]+)"\)/g)])].map(([, name]) => name);
  t.strictSame([...new Set(named)].toSorted(), later);
  for (const name of later) {
    const answer = await http.get(`/client/${name}`);
    t.match([answer.status, answer.headers['content-type'], answer.headers['cache-control']], [200, 'text/javascript; charset=utf-8', 'no-cache']);
    t.equal(answer.body, await readFile(join(BUILT, 'client', name), 'utf8'));
    t.match(await http.get(`/client/${name}`, { 'if-none-match': answer.headers.etag! }), { status: 304, body: '' });
  }
  for (const name of ['client.js', 'x.js', '..%2Fclient.js', 'sharing.js%00', '__proto__']) t.equal((await http.get(`/client/${name}`)).status, 404, name);
});

void t.test('it is imported by its name, with its types, and works as documented', async (t) => {
  const { connect, TidingsError } = await import('tidings/client');
  const instance = await startInstance(t, { LOG_LEVEL: 'error' });
  const tidings = connect(instance.url);
  t.equal(tidings.status, 'connecting');
  const first = await tidings.publish('built', 1);
  const refused = await tidings.publish('built..', 1).catch((error: unknown) => error);
  t.ok(refused instanceof TidingsError);
  t.match(refused, { name: 'TidingsError', code: 'invalid-topic', field: 'topic', status: 400 });
  const heard: unknown[] = [];
  tidings.subscribe('built', { after: first.id }).on('any', ({ data }) => heard.push(data));
  // One that comes while it is being made is the caller's own again.
  const options = { event: 'one' };
  const published = tidings.publish('built', 2, options);
  options.event = 'other';
  t.equal((await published).event, 'one');
  for await (const { data } of tidings.stream('built', { last: 2 })) {
    heard.push(data);
    if (data === 2) break;
  }
  await until('all are there', () => heard.length === 3);
  t.strictSame(heard.toSorted(), [1, 2, 2]);
  t.ok(new TidingsError('x', { code: 'y' }) instanceof Error);
  tidings.close();
  t.equal(tidings.status, 'closed');
});
