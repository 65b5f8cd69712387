import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { buildPage } from '../support/page-build.ts';

/** The page as it is committed and served, without a browser. */

const PAGE = join(import.meta.dirname, '../../src/page');
/** Stops the page from growing unnoticed: what a browser loads before it shows the first view. */
const FIRST_VIEW_MAX_BYTES = 100 * 1024;
const HTML = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
const FILES = ['page.js', 'page.css', 'icon.svg'] as const;
/** What it loads later. */
const LATER = ['charts.js'] as const;

void t.test('the committed build is the one that the sources make', async (t) => {
  const made = await buildPage();
  t.strictSame([...made.keys()], ['page.js', ...LATER]);
  for (const [name, text] of made) t.ok(text === await readFile(join(PAGE, 'built', name), 'utf8'), `npm run build: ${name}`);
  for (const name of LATER) t.ok(made.get('page.js')!.includes(`import(\`./${name}\`)`), `the page loads ${name} when it is looked at, from beside itself`);
});

void t.test('browsers get the page, with a tag and a strict policy; all others get an index of the API', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  const page = await http.get('/', HTML);
  t.match([page.status, page.headers['content-type'], page.headers['cache-control'], page.headers.vary], [200, 'text/html; charset=utf-8', 'no-cache', 'Accept']);
  t.match(page.headers['content-security-policy'], /^default-src 'none'; script-src 'self'; /);
  t.notMatch(page.headers['content-security-policy'], /unsafe|https?:|data:|\*/);
  t.match(await http.get('/', { ...HTML, 'if-none-match': page.headers.etag! }), { status: 304, body: '' });
  t.match(await http.send('HEAD', '/', HTML), { status: 200, body: '' });
  t.match(await http.send('POST', '/'), { status: 405, headers: { allow: 'GET, HEAD' } });
  for (const accept of [undefined, '*/*', 'application/json', 'text/html;q=0.1,application/json', 'text/plain', '']) {
    const answer = await http.get('/', accept === undefined ? {} : { accept });
    t.match([answer.status, answer.headers['content-type'], answer.headers['cache-control'], answer.headers.vary], [200, 'application/json', 'no-store', 'Accept'], String(accept));
    t.match(JSON.parse(answer.body), { name: 'tidings', open: true, sessions: false, you: { publish: true, read: true, presence: true, streams: true, operate: true, administer: false }, api: { everything: 'GET /openapi.json' } });
  }
  t.match(await http.get('/?limti=1', HTML), { status: 200 }, 'what a tracker adds means nothing');

  let firstView = gzipSync(page.body, { level: 9 }).length;
  for (const name of FILES) {
    const answer = await http.get(`/page/${name}`);
    t.match([answer.status, answer.headers['cache-control']], [200, 'no-cache'], name);
    t.equal(answer.body, await readFile(join(PAGE, name === 'page.js' ? 'built/page.js' : name), 'utf8'), name);
    t.match(await http.get(`/page/${name}`, { 'if-none-match': answer.headers.etag! }), { status: 304, body: '' });
    t.ok(page.body.includes(`"page/${name}"`), `the page loads ${name}, below whatever path a proxy has put it`);
    firstView += gzipSync(answer.body, { level: 9 }).length;
  }
  for (const name of LATER) {
    const { status, body } = await http.get(`/page/${name}`);
    t.strictSame([status, body], [200, await readFile(join(PAGE, 'built', name), 'utf8')], name);
    t.notOk(page.body.includes(name), `the page begins without ${name}`);
  }
  t.ok(firstView <= FIRST_VIEW_MAX_BYTES, `${firstView} bytes with gzip`);
  for (const name of ['index.html', 'main.tsx', '..%2Fpage.css', 'built%2Fpage.js', 'page.js%00', '__proto__', 'constructor']) t.match(await http.get(`/page/${name}`), { status: 404, body: /"field":"file"/ }, name);
});

void t.test('the index tells what the request may do, by its credential; the page does not look at one', async (t) => {
  const instance = await startInstance(t, { AUTH: 'on', PUBLIC_TOPICS: 'news', AUTH_COOKIE: 'session', LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  const index = async (headers: Record<string, string> = {}): Promise<unknown> => JSON.parse((await http.get('/', headers)).body);
  t.strictSame((await index() as { you: unknown }).you, { publish: false, read: true, topics: ['news'], presence: false, streams: false, operate: false, administer: false });
  t.match(await index(), { open: false, sessions: true });
  t.notOk(Object.hasOwn(await index() as object, 'version'), 'strangers do not learn the version');
  t.match(await http.get('/', { authorization: 'Bearer tdg_x' }), { status: 401 });
  t.match(await http.get('/', { ...HTML, authorization: 'Bearer tdg_x', cookie: 'session=tds_x' }), { status: 200 });
});

void t.test('a credential of a proxy in front does not matter where nobody needs one', async (t) => {
  const instance = await startInstance(t, { AUTH: 'off', LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  t.match(JSON.parse((await http.get('/', { authorization: 'Basic b3RoZXI6d29yZA==' })).body), { open: true, you: { publish: true } });
});

void t.test('PAGE=off leaves the page out, and the index stays', async (t) => {
  const instance = await startInstance(t, { PAGE: 'off', LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  t.match(await http.get('/', HTML), { status: 200, headers: { 'content-type': 'application/json', 'content-security-policy': /^default-src 'none'; connect-src 'self'; / } });
  for (const name of [...FILES, ...LATER]) t.match(await http.get(`/page/${name}`), { status: 404, body: /PAGE is off/ }, name);
});
