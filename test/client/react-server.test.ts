import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import t from 'tap';
import { connect } from 'tidings/client';
import { TidingsProvider, useTidings, type UseTidingsOptions, type View } from 'tidings/react';

/** `tidings/react` as a server renders it, and as it is imported by its name. */

/** Stops the module from growing unnoticed, or from bringing React or the whole client along. */
const MODULE_MAX_BYTES = 1_300;

let requests = 0;
const refuse: typeof fetch = () => {
  requests++;
  return Promise.reject(new Error('A server that renders opens no stream.'));
};
const client = connect('http://127.0.0.1:1', { fetch: refuse });
t.teardown(() => client.close());

/** Renders one component with a topic. */
function render(options?: UseTidingsOptions, isProvided = true): readonly [string, View<{ readonly n: number }, number> | undefined] {
  let seen: View<{ readonly n: number }, number> | undefined;
  const Count = () => {
    seen = useTidings('orders.*', { ...options, reduce: (sum: number, { data }: { readonly data: { readonly n: number } }) => sum + data.n, initial: 7 });
    return createElement('p', null, seen.state);
  };
  return [renderToString(isProvided ? createElement(TidingsProvider, { client }, createElement(Count)) : createElement(Count)), seen];
}

void t.test('a server renders the initial state, and opens no stream', async (t) => {
  const [html, view] = render({ last: 20 });
  t.equal(html, '<p>7</p>');
  t.strictSame(view, { messages: [], last: undefined, status: 'connecting', state: 7, gap: undefined, error: undefined });
  t.equal(requests, 0);
});

void t.test('the client is an option, too; without one the error says what to do', async (t) => {
  t.equal(render({ client }, false)[0], '<p>7</p>');
  t.throws(() => render({}, false), /useTidings has no client: put a <TidingsProvider client=\{connect\(url\)\}> around the component/);
});

void t.test('an invalid limit is refused by its name', async (t) => {
  for (const limit of [-1, 1.5, 10_001, Number.NaN]) t.throws(() => render({ limit }), { name: 'RangeError', message: `limit: must be a whole number from 0 to 10000, and is ${limit}` });
  for (const limit of [0, 10_000]) t.equal(render({ limit })[0], '<p>7</p>');
});

void t.test('the module is small, leaves React to the program, and says that it runs in the browser', async (t) => {
  const module = readFileSync(join(import.meta.dirname, '../../src/client/built/react.js'), 'utf8');
  t.match(module, /^\/\*[^*]*\*\/\n"use client";/, 'else frameworks with server components refuse it');
  t.strictSame([...module.matchAll(/from"([^"]+)"/g)].map(([, name]) => name), ['react']);
  t.ok(gzipSync(module, { level: 9 }).length <= MODULE_MAX_BYTES, `${gzipSync(module, { level: 9 }).length} bytes with gzip`);
});
