import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import t from 'tap';
import { buildClient } from '../support/client-build.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';

/** The library as JavaScript: what is committed, served, and imported by its name. */

const BUILT = join(import.meta.dirname, '../../src/client/built');
/** Stops the library from growing unnoticed. */
const MODULE_MAX_BYTES = 6_800;

void t.test('what is committed is what the sources make', async (t) => {
  const made = await buildClient();
  const files = (await readdir(BUILT, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name, parentPath }) => relative(BUILT, join(parentPath, name)));
  t.strictSame(files.toSorted(), [...made.keys()].toSorted());
  t.notMatch(made.get('client.js'), /BroadcastChannel\(/, 'what is loaded later is not in it');
  for (const [name, text] of made) t.equal(await readFile(join(BUILT, name), 'utf8'), text, `${name}: npm run build`);
  t.ok(gzipSync(made.get('client.js')!, { level: 9 }).length <= MODULE_MAX_BYTES, `${gzipSync(made.get('client.js')!, { level: 9 }).length} bytes with gzip, ${brotliCompressSync(made.get('client.js')!).length} with brotli`);
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
  const library = await readFile(join(BUILT, 'client.js'), 'utf8');
  const later = (await readdir(join(BUILT, 'client'))).toSorted();
  t.strictSame([...library.matchAll(/import\("\.\/client\/([^"]+)"\)/g)].map(([, name]) => name).toSorted(), later);
  for (const name of later) {
    const answer = await http.get(`/client/${name}`);
    t.match([answer.status, answer.headers['content-type'], answer.headers['cache-control']], [200, 'text/javascript; charset=utf-8', 'no-cache']);
    t.equal(answer.body, await readFile(join(BUILT, 'client', name), 'utf8'));
    t.match(await http.get(`/client/${name}`, { 'if-none-match': answer.headers.etag! }), { status: 304, body: '' });
  }
  for (const name of ['client.js', 'x.js', '..%2Fclient.js', 'sharing.js%00', '__proto__']) t.equal((await http.get(`/client/${name}`)).status, 404, name);
});

void t.test('it is imported by its name, with its types', async (t) => {
  const { connect, TidingsError } = await import('tidings/client');
  const tidings = connect('http://127.0.0.1:1');
  t.equal(tidings.status, 'connecting');
  t.ok(new TidingsError('x', { code: 'y' }) instanceof Error);
  tidings.close();
  t.equal(tidings.status, 'closed');
});
