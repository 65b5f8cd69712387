import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import t from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { connect } from '../../src/client/client.ts';
import { newPage, servePage, startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { App } from './support/react-app.ts';
import type { Harness } from './support/react-page.ts';

/** `tidings/react` in Chromium, in strict mode, on a real service. */

type Shown = ReturnType<Harness['shown']>;

/** The page's module, with all that it imports. */
async function bundle(): Promise<string> {
  const file = join(tempFolder(t), 'page.js');
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'support/react-page.ts')], bundle: true, write: false, format: 'esm', target: 'es2022', define: { 'process.env.NODE_ENV': '"development"' },
  });
  await writeFile(file, outputFiles[0]!.text);
  return file;
}

const [browser, origin] = await Promise.all([startBrowser(t), bundle().then((module) => servePage(t, { module }))]);
const eraser = makeApiKey();
const access = join(tempFolder(t), 'access.json');
await writeFile(access, JSON.stringify({ keys: [{ id: eraser.id, sha256: eraser.digest.toString('hex'), name: 'eraser', erase: ['erased'] }] }));
const instance = await startInstance(t, { AUTH: 'off', ACCESS_FILE: access, LOG_LEVEL: 'error', CORS_ORIGINS: origin, RETRY_MIN_MS: '10', RETRY_MAX_MS: '20' });
const http = new Http(t, instance.url);
const page = await newPage(browser);
const faults: string[] = [];
page.on('pageerror', (error) => faults.push(error.message));
page.on('console', (message) => {
  // The browser tells of a topic that the service refuses, too.
  if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource')) faults.push(message.text());
});
await page.goto(origin);
await page.waitForFunction('globalThis.harness !== undefined');
await page.evaluate(`harness.connect('${instance.url}')`);

const call = (name: keyof Harness, ...values: readonly unknown[]): Promise<unknown> => page.evaluate(`harness.${name}(...${JSON.stringify(values)})`);
const shown = (): Promise<Shown> => page.evaluate<Shown>('harness.shown()');
const texts = ({ view }: Shown): readonly unknown[] => view?.messages.map(({ data }) => data) ?? [];
const numbers = (count: number, first = 0): number[] => Array.from({ length: count }, (_, index) => first + index);
/** Waits until the component has been handed so many messages. */
const counted = (count: number): Promise<void> => until(`${count} are there`, async () => (await shown()).view?.state === count);
const live = (): Promise<void> => until('it is live', async () => (await shown()).view?.status === 'live');
const publish = (topic: string, data: readonly unknown[]): Promise<unknown> => http.batch(data.map((one) => ({ topic, data: one })));

t.afterEach(async () => {
  await call('unmount');
  await until('no stream is left', async () => (await shown()).open === 0);
});

void t.test('strict mode has one stream, and every message once; so has another beginning', async (t) => {
  await publish('strict', numbers(3));
  const { opened } = await shown();
  await call('render', 'strict', { last: 2 });
  await live();
  await publish('strict', numbers(5, 3));
  await counted(7);
  const end = await shown();
  t.strictSame(texts(end), numbers(7, 1));
  t.equal(end.view?.last?.data, 7);
  t.equal(end.opened - opened, 1);
  await call('render', 'strict', { last: 3 });
  await counted(3);
  t.equal((await shown()).opened - opened, 1);
});

void t.test('a component that is rendered anew has the same list, and renders itself for nothing but news', async (t) => {
  await call('render', 'calm', { last: 5 });
  await live();
  await publish('calm', [0]);
  await counted(1);
  const before = await shown();
  for (let index = 0; index < 5; index++) await call('render', 'calm', { last: 5 });
  await until('it was rendered', async () => (await shown()).renderings > before.renderings);
  await publish('calm', [1]);
  await counted(2);
  const end = await shown();
  // In strict mode each rendering is two.
  t.ok(end.renderings - before.renderings <= 2 * (5 + 1), `${end.renderings - before.renderings} renderings`);
  t.equal(end.lists - before.lists, 1);
});

void t.test('a page of history is shown at once, and the list is bounded', async (t) => {
  await publish('many', numbers(400));
  await call('render', 'many', { after: 'start', limit: 10 });
  await counted(400);
  await publish('many', [400]);
  await counted(401);
  const end = await shown();
  t.strictSame(texts(end), numbers(10, 391));
  t.ok(end.renderings < 100, `${end.renderings} renderings`);
  await call('render', 'many', { last: 4, limit: 1 });
  await counted(4);
  t.strictSame(texts(await shown()), [400]);
  await call('render', 'many', { last: 3, limit: 0 });
  await counted(3);
  t.strictSame(texts(await shown()), []);
  t.equal((await shown()).view?.last?.data, 400);
});

void t.test('another topic begins anew', async (t) => {
  await publish('first', ['a']);
  await publish('second', ['b']);
  await call('render', 'first', { last: 1 });
  await counted(1);
  await call('render', 'second', { last: 1 });
  await until('the other topic is shown', async () => texts(await shown())[0] === 'b');
  await publish('first', ['lost on nobody']);
  await publish('second', ['c']);
  await counted(2);
  t.strictSame(texts(await shown()), ['b', 'c']);
});

void t.test('a component that was hidden goes on where it was', async (t) => {
  await publish('hidden', numbers(2));
  await call('render', 'hidden', { last: 2 });
  await counted(2);
  await call('render', 'hidden', { last: 2 }, true);
  await until('it reads nothing', async () => (await shown()).open === 0);
  await publish('hidden', numbers(3, 2));
  await call('render', 'hidden', { last: 2 });
  await counted(5);
  t.strictSame(texts(await shown()), numbers(5));
});

void t.test('what a connection brings again is shown once', async (t) => {
  await publish('again', numbers(2));
  await call('render', 'again', { last: 3 });
  await counted(2);
  await call('relogin');
  await live();
  await publish('again', [2]);
  await until('the last one is there', async () => (await shown()).view?.last?.data === 2);
  t.strictSame(texts(await shown()), numbers(3));
});

void t.test('an erased message leaves the list', async (t) => {
  await call('render', 'erased', { last: 5 });
  await live();
  await publish('erased', ['a', 'b', 'c']);
  await counted(3);
  const last = (await shown()).view!.last!;
  t.equal((await http.send('DELETE', `/messages/${last.id}`, bearer(eraser.text))).status, 204);
  await until('one is gone', async () => texts(await shown()).length === 2);
  t.match(await shown(), { view: { last: { data: 'b' }, state: 3 } });
  t.equal((await http.send('DELETE', `/topics/erased/messages?before=${last.id}`, bearer(eraser.text))).status, 200);
  await until('all are gone', async () => texts(await shown()).length === 0);
  t.match(await shown(), { view: { last: undefined } });
});

void t.test('a topic that the service refuses is an error', async () => {
  await call('render', 'not a topic!');
  await until('it is told', async () => (await shown()).view?.error !== undefined);
});

void t.test('a page takes over what a server rendered', async (t) => {
  await publish('server', ['a', 'b']);
  const client = connect(instance.url);
  t.teardown(() => client.close());
  const html = renderToString(createElement(App, { client, topic: 'server', options: { last: 2 }, rendered: () => undefined }));
  t.match(html, '<p>connecting: </p>');
  // The page has a stream already: what it renders first is what the server did.
  await call('hold', 'other');
  await until('it is live', async () => (await shown()).status === 'live');
  await call('hydrate', html, 'server', { last: 2 });
  await counted(2);
  await live();
  t.equal((await shown()).text, 'live: a b');
  t.strictSame(await call('faults'), []);
});

void t.test('the browser has nothing to complain of', async (t) => {
  t.strictSame(faults, []);
});
