import { join } from 'node:path';
import type { Page } from 'playwright-core';
import t from 'tap';
import { accessFile, ROOT } from '../support/access-state.ts';
import { openContext, servePage, startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { TicketTime } from '../support/tickets.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** Pages of another site in Chromium, whose EventSource can send neither headers nor cookies: they get a ticket, and stream by its URL for as long as their token is good. */

const browser = await startBrowser(t, '--host-resolver-rules=MAP app.example 127.0.0.1');
const site = (await servePage(t)).replace('127.0.0.1', 'app.example');
const DATABASE_URL = `file:${join(tempFolder(t), 'log.db')}`;
const env = { DATABASE_URL, ACCESS_FILE: accessFile(t, ['>']), JWT_SECRET: SECRET, CORS_ORIGINS: site, POLL_MS: '50', RETRY_MIN_MS: '50', RETRY_MAX_MS: '200', DRAIN_SECONDS: '1' };
const one = await startInstance(t, env);
const http = new Http(t, one.url);
const time = new TicketTime(DATABASE_URL);

function token(jti: string): Record<string, string> {
  const now = Math.floor(Date.now() / 1000);
  return bearer(hs256({ sub: 'alice', jti, iat: now, exp: now + 3600, tidings: { publish: ['user.alice.>'], subscribe: ['user.alice.>'] } }));
}

async function open(t: Scope): Promise<Page> {
  const page = await (await openContext(t, browser)).newPage();
  await page.goto(site);
  return page;
}

/** A request of the page: the status of the answer and its body, or why there is none. */
function ask(page: Page, path: string, headers: Readonly<Record<string, string>>, body: object): Promise<string> {
  return page.evaluate<string>(`fetch(${JSON.stringify(one.url + path)}, { method: 'POST', headers: ${JSON.stringify(headers)}, body: ${JSON.stringify(JSON.stringify(body))} }).then(async (answer) => answer.status + ' ' + await answer.text(), String)`);
}

async function ticketFor(page: Page, headers: Readonly<Record<string, string>>): Promise<string> {
  const answer = await ask(page, '/tickets', headers, { topics: ['user.alice.inbox'] });
  if (!answer.startsWith('201 ')) throw new Error(answer);
  return (JSON.parse(answer.slice(4)) as { ticket: string }).ticket;
}

/** Opens a stream that notes what it gets, and whether it gave up. */
function stream(page: Page, ticket: string): Promise<void> {
  return page.evaluate(`(() => {
    const got = window.got = [];
    const source = window.source = new EventSource(${JSON.stringify(`${one.url}/topics/user.alice.inbox/events?ticket=${ticket}`)});
    source.addEventListener('$open', ({ data }) => { got.push('open'); window.handle = JSON.parse(data).stream; });
    source.onmessage = ({ data }) => got.push(data);
    source.onerror = () => got.push(source.readyState === EventSource.CLOSED ? 'gave up' : 'cut');
  })()`);
}

function got(page: Page): Promise<string[]> {
  return page.evaluate<string[]>('window.got');
}

async function gets(page: Page, what: string, times = 1): Promise<void> {
  await until(`the page gets ${what}`, async () => (await got(page)).filter((one) => one === what).length >= times);
}

async function publish(text: string): Promise<void> {
  t.equal((await http.post('user.alice.inbox', text, token('publisher'))).status, 201);
}

t.test('it streams by its ticket through a drain, a crash and a renewal, misses nothing, and gives up after a revocation', async (t) => {
  const page = await open(t);
  await stream(page, await ticketFor(page, token('first')));
  await gets(page, 'open');
  await publish('before');
  await gets(page, 'before');
  await one.restart('SIGTERM');
  await publish('drained');
  await gets(page, 'drained');
  time.guard();
  await one.restart('SIGKILL');
  await publish('killed');
  await gets(page, 'killed');

  await until('the stream can be renewed', async () => {
    const { id, secret } = await page.evaluate<{ id: string; secret: string }>('window.handle');
    return (await ask(page, `/streams/${id}/credential`, token('second'), { secret })).startsWith('200 ');
  });
  t.equal((await http.send('POST', '/revocations', bearer(ROOT.text), '{"jti":"first"}')).status, 201);
  await publish('renewed');
  await gets(page, 'renewed');
  t.same((await got(page)).filter((one) => !['open', 'cut'].includes(one)), ['before', 'drained', 'killed', 'renewed'], 'each once, in order');

  t.equal((await http.send('POST', '/revocations', bearer(ROOT.text), '{"jti":"second"}')).status, 201);
  await gets(page, 'gave up');
});

t.test('two pages with one URL take turns; once the stream is open for longer, the second one gives up, and the first is not disturbed', async (t) => {
  const [first, second] = [await open(t), await open(t)];
  const ticket = await ticketFor(first, token('third'));
  await stream(first, ticket);
  await gets(first, 'open');
  await stream(second, ticket);
  for (const page of [first, second]) await gets(page, 'open', 2);
  await second.evaluate('window.source.close()');
  await publish('after turns');
  await gets(first, 'after turns');
  time.guard();
  const opened = (await got(first)).length;
  await stream(second, ticket);
  await gets(second, 'gave up');
  await publish('undisturbed');
  await gets(first, 'undisturbed');
  t.same((await got(first)).slice(opened), ['undisturbed']);
});

t.test('a page of an origin that is not named gets no ticket', async (t) => {
  const page = await (await openContext(t, browser)).newPage();
  await page.goto(await servePage(t));
  t.match(await ask(page, '/tickets', token('fourth'), { topics: ['user.alice.inbox'] }), /TypeError/);
});
