import type { Page } from 'playwright-core';
import t from 'tap';
import { newPage, openContext, servePage, startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import type { Scope } from '../support/temp.ts';

/** Pages of other origins, in Chromium: those that CORS_ORIGINS names may read and publish, the others may not even write blindly. */

/** A name of somebody else's, with the address of this machine. */
const REBOUND = 'rebound.example';
const browser = await startBrowser(t, `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`);
/** The origin of a page that may do everything where it is named, and of one that is named nowhere. */
const [named, unnamed] = [await servePage(t), await servePage(t)];
const instances = {
  'CORS_ORIGINS unset': await startInstance(t),
  'an origin that CORS_ORIGINS does not name': await startInstance(t, { CORS_ORIGINS: `https://elsewhere.example,${named}` }),
};

async function openPage(t: Scope, origin: string): Promise<Page> {
  const page = await newPage(browser);
  t.teardown(() => page.close());
  await page.goto(origin);
  return page;
}

/** Opens an EventSource in the page: resolves with `closed` when it gave up, or with the first message that follows what `then` does. */
function firstMessage(page: Page, url: string, then: string): Promise<string> {
  return page.evaluate<string>(`new Promise((resolve, reject) => {
    const source = new EventSource(${JSON.stringify(url)});
    source.addEventListener('$open', () => (async () => { ${then} })().catch(reject), { once: true });
    source.onmessage = ({ data }) => { source.close(); resolve(data); };
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve('closed'); };
  })`);
}

/** Every way in which a page can send data anywhere without being asked whether it may. */
function sendBlindly(page: Page, url: string): Promise<unknown[]> {
  return page.evaluate<unknown[]>(`Promise.all([
    fetch(${JSON.stringify(url)}, { method: 'POST', body: 'simple' }).then(({ status }) => status, ({ name }) => name),
    fetch(${JSON.stringify(url)}, { method: 'POST', body: 'no-cors', mode: 'no-cors' }).then(({ type }) => type, ({ name }) => name),
    new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.onloadend = () => resolve(request.status);
      request.open('POST', ${JSON.stringify(url)});
      request.send(new URLSearchParams({ form: 'urlencoded' }));
    }),
  ])`);
}

/** Submits a form to the URL, as any page can; answers with the status that the browser was shown. */
async function submitForm(page: Page, url: string): Promise<number | undefined> {
  const [answer] = await Promise.all([
    page.waitForResponse(url),
    page.evaluate(`(() => {
      const form = document.createElement('form');
      Object.assign(form, { method: 'post', enctype: 'text/plain', action: ${JSON.stringify(url)} });
      document.body.append(form);
      form.submit();
    })()`),
  ]);
  return answer.status();
}

async function held(t: Scope, instance: Instance, topic: string): Promise<unknown[]> {
  const { messages } = await new Http(t, instance.url).json<{ messages: { data: unknown }[] }>(`/topics/${topic}/messages`);
  return messages.map(({ data }) => data);
}

void t.test('a page of an origin in CORS_ORIGINS reads a stream and publishes, with a preflight and the headers of the answer', async (t) => {
  const instance = instances['an origin that CORS_ORIGINS does not name'];
  const page = await openPage(t, named);
  const url = `${instance.url}/topics/shared`;
  // The content type and each of the other headers make the browser ask first whether it may.
  const publish = `const answer = await fetch(${JSON.stringify(url)}, {
    method: 'POST', headers: { 'Content-Type': 'application/json', 'Idempotency-Key': 'one', 'TTL': '60', 'Tidings-Event': 'message' }, body: '{"a":1}',
  });
  globalThis.answers = [...(globalThis.answers ?? []), {
    status: answer.status, location: answer.headers.get('Location'), replayed: answer.headers.get('Idempotency-Replayed'), ...await answer.json(),
  }];`;
  t.equal(await firstMessage(page, `${url}/events`, publish), '{"a":1}', 'the message came over its EventSource');
  await page.evaluate(`(async () => { ${publish} })()`);
  const answers = await page.evaluate<{ status: number; id: string; location: string | null; replayed: string | null }[]>('globalThis.answers');
  t.match(answers, [{ status: 201, replayed: null }, { status: 201, replayed: 'true' }], 'stored once, answered twice');
  for (const { id, location } of answers) t.equal(location, `/messages/${id}`, 'the page can read the Location header');
  t.strictSame(await held(t, instance, 'shared'), [{ a: 1 }]);
  // What a library that sends the cursor as a header of its own needs.
  const resumed = await page.evaluate<{ status: number; type: string | null }>(`fetch(${JSON.stringify(`${url}/events`)}, { headers: { 'Last-Event-ID': 'anotherlog-1' } })
    .then((answer) => { const { status } = answer; void answer.body.cancel(); return { status, type: answer.headers.get('Content-Type') }; })`);
  t.strictSame(resumed, { status: 200, type: 'text/event-stream; charset=utf-8' }, 'Last-Event-ID may be sent');
});

/** Opens a WebSocket in the page, publishes on it, and closes it: resolves with what it was sent, and with the code of its end. */
function talk(page: Page, url: string): Promise<{ readonly texts: readonly string[]; readonly code: number }> {
  return page.evaluate(`new Promise((resolve) => {
    const texts = [];
    const socket = new WebSocket(${JSON.stringify(url.replace('http', 'ws'))});
    socket.onopen = () => socket.send(JSON.stringify({ publish: 'talk', data: { from: location.origin }, request: 1 }));
    socket.onmessage = ({ data }) => {
      texts.push(data);
      if (texts.some((text) => text.includes('"request":1')) && texts.some((text) => text.includes('"topic":"talk"') && text.includes('"from"'))) socket.close(1000);
    };
    socket.onclose = ({ code }) => resolve({ texts, code });
  })`);
}

void t.test('a page opens a WebSocket to its own host, and to one that names its origin', async (t) => {
  const instance = instances['an origin that CORS_ORIGINS does not name'];
  for (const origin of [named, `${instance.url}/healthz`]) {
    const { texts, code } = await talk(await openPage(t, origin), `${instance.url}/topics/talk/events`);
    t.equal(code, 1000);
    t.match(texts[0], /"event":"\$open"/);
  }
  for (const other of Object.values(instances)) {
    const { texts, code } = await talk(await openPage(t, unnamed), `${other.url}/topics/talk/events`);
    t.same([texts, code], [[], 1006], 'another one is refused, without access control too');
  }
  t.equal((await held(t, instance, 'talk')).length, 2);
});

for (const [what, instance] of Object.entries(instances)) {
  void t.test(`a page of another origin, with ${what}, neither reads nor writes`, async (t) => {
    const page = await openPage(t, unnamed);
    const url = `${instance.url}/topics/private`;
    t.equal(await firstMessage(page, `${url}/events`, ''), 'closed', 'its EventSource is refused');
    t.strictSame(await sendBlindly(page, url), ['TypeError', 'TypeError', 0], 'it learns nothing of what it sends');
    const metric = await new Http(t, instance.url).metric('publishes_refused_total{code="cross-origin"}');
    t.equal(metric, 3, 'all of it reached the service, and was refused');
    t.equal(await submitForm(page, url), 403, 'so is a form');
    t.strictSame(await held(t, instance, 'private'), [], 'nothing was stored');
  });
}

void t.test('a page whose own host name has become the address of this machine gets nothing, unless ALLOWED_HOSTS names that host', async (t) => {
  const open = await startInstance(t, { ALLOWED_HOSTS: REBOUND });
  for (const [instance, status] of [[instances['CORS_ORIGINS unset'], 421], [open, 201]] as const) {
    const origin = `http://${REBOUND}:${instance.port}`;
    await new Http(t, instance.url).publish('rebound', 'secret');
    const page = await (await openContext(t, browser)).newPage();
    // A page of that name. What it holds came from its own server, as long as the name had that address.
    await page.goto(`${origin}/healthz`);
    t.equal(await page.evaluate("fetch('/topics/rebound', { method: 'POST', body: 'x' }).then(({ status }) => status)"), status);
    const history = await page.evaluate<string>("fetch('/topics/rebound/messages').then((answer) => answer.text())");
    t.equal(history.includes('secret'), status === 201, history);
    const stream = await page.evaluate("new Promise((resolve) => { const source = new EventSource('/topics/rebound/events?after=start'); source.onmessage = ({ data }) => { source.close(); resolve(data); }; source.onerror = () => resolve(source.readyState); })");
    t.equal(stream, status === 201 ? 'secret' : 2, 'a stream');
  }
});
