import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { t } from 'tap';
import { Webhook } from 'standardwebhooks';
import { ROOT, WATCHER, accessFile } from '../support/access-state.ts';
import { startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { freePort } from '../support/ports.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';
import { LOOKS, Person } from './support/person.ts';

/** What an administrator does with webhooks and connectors on the page, in Chromium, against the service and a receiver. */

const CONNECTORS_FILE = join(tempFolder(t), 'connectors.json');
writeFileSync(CONNECTORS_FILE, JSON.stringify({ connectors: { mirror: { kind: 'sink', of: 'nats', url: `nats://someone:hidden@127.0.0.1:${await freePort()}`, topics: ['orders.>'], deadTopic: 'dead.\u202Emirror' } } }));
const [receiver, instance, browser] = await Promise.all([WebhookReceiver.start(t), startInstance(t, { CONNECTORS_FILE, ACCESS_FILE: accessFile(t, ['>']), WEBHOOK_ALLOW: '127.0.0.1', LOG_LEVEL: 'error' }), startBrowser(t)]);
const http = new Http(t, instance.url);

async function make(path: string, topic: string): Promise<string> {
  const { body } = await http.send('POST', '/webhooks', { ...bearer(ROOT.text), 'content-type': 'application/json' }, JSON.stringify({ url: receiver.url + path, topics: [topic] }));
  return (JSON.parse(body) as { readonly id: string }).id;
}

await t.test('a webhook is made, its secret seen once, tested, changed, rotated, replayed, paused and deleted', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/webhooks');
  await person.signIn(ROOT.text);
  await person.sees('No webhooks yet: make one below');
  await person.fill('Receiver', 'http://10.0.0.1/');
  await person.fill('Topics or patterns', 'orders.*');
  await person.forgiving(async () => {
    await person.press('Make the webhook');
    await person.page.locator('.note.bad', { hasText: 'url' }).waitFor();
  });
  t.equal(await person.page.getByLabel('Receiver').getAttribute('aria-invalid'), 'true', 'the field that is wrong is marked');
  await person.fill('Receiver', `${receiver.url}/made`);
  await person.press('Make the webhook');
  await person.sees(/It is shown this once/);
  const [secret] = await person.texts('.made code');
  const message = await http.publish('orders.1', 'first', bearer(WATCHER.text));
  await until('it is delivered', () => receiver.at('/made').length >= 1);
  new Webhook(secret!).verify(receiver.at('/made')[0]!.body, receiver.at('/made')[0]!.headers);
  await person.page.getByRole('table').getByRole('link', { name: `${receiver.url}/made` }).click();
  await person.page.locator('#webhook-title', { hasText: '/made' }).waitFor();
  t.notOk((await person.page.content()).includes(secret!), 'the secret is shown once');
  await person.page.getByRole('link', { name: message }).waitFor();
  t.match((await person.texts('tbody tr'))[0], /status 204.*ms/s);

  await person.press('Send a test');
  await person.sees(/The test was delivered: status 204 in/);
  receiver.answers.set('/made', (_received, response) => void response.writeHead(500).end('not now'));
  await person.press('Send a test');
  await person.sees(/The test was not delivered: status 500 in \d+ ms\. The answer begins: not now/);
  receiver.answers.delete('/made');

  await person.press('Rotate its secret');
  await person.press('Rotate it');
  await person.sees('This is the new secret.');
  t.not((await person.texts('.made code'))[0], secret);

  await person.press('Replay');
  await person.fill('From', 'yesterday');
  const dialog = person.page.getByRole('dialog');
  await person.forgiving(async () => {
    await dialog.getByRole('button', { name: 'Replay' }).click();
    await dialog.getByText(/from must be the id of a message/).waitFor();
  });
  await person.fill('From', '1h');
  await dialog.getByRole('button', { name: 'Replay' }).click();
  await person.sees(/It goes on after/);
  await until('it is delivered again', () => receiver.at('/made').filter(({ id }) => id === message).length >= 2);

  await person.press('Change');
  t.equal(await person.page.getByLabel('Topics or patterns').inputValue(), 'orders.*');
  await person.fill('Events (optional)', 'made');
  await person.press('Change it');
  await person.sees('It is changed, and goes on from its cursor.');
  await until('it is seen', async () => /Eventsmade/.test((await person.texts('.facts'))[0] ?? ''));
  const seen = receiver.at('/made').length;
  for (let number = 0; number < 25; number++) await http.send('POST', '/topics/orders.2?event=made', bearer(WATCHER.text), 'more');
  await until('all are delivered', () => receiver.at('/made').length >= seen + 25);
  const older = person.page.getByRole('button', { name: /older attempts/ });
  await older.waitFor();
  t.equal(await person.page.locator('tbody tr').count(), 20, 'a phone is not filled with attempts');
  await older.click();
  await until('all are shown', async () => await person.page.locator('tbody tr').count() > 25);
  await person.press('Pause');
  await person.page.locator('.chip', { hasText: 'paused' }).waitFor();
  await person.press('Resume');
  await person.page.locator('.chip', { hasText: 'delivering' }).waitFor();
  await person.press('Delete');
  await person.press('Delete it');
  await person.sees('No webhooks yet: make one below');
  t.strictSame(person.faults, []);
});

await t.test('a webhook that fails says so: in the list with its last error, and on its own page; in both schemes and widths nobody is kept out', async (t) => {
  receiver.answers.set('/fails', (_received, response) => void response.writeHead(503, { 'retry-after': '3600' }).end('<b>later</b>'));
  const id = await make('/fails', 'failing');
  await http.publish('failing', 'x', bearer(WATCHER.text));
  await until('it has failed', async () => (JSON.parse((await http.get(`/webhooks/${id}`, bearer(ROOT.text))).body) as { readonly failures: number }).failures === 1);
  for (const look of LOOKS) {
    const person = await Person.open(t, browser, instance.url, look);
    await person.goto('#/webhooks');
    await person.signIn(ROOT.text);
    await person.page.locator('.chip', { hasText: 'failing' }).waitFor();
    t.match(await person.page.locator('tbody tr', { hasText: '/fails' }).textContent(), /failing1 messagestatus 503\d+ (s|min) ago/);
    t.strictSame(await person.looksWrong(), [], `the list, ${look.width} ${look.scheme}`);
    await person.goto(`#/webhooks/${id}`);
    await person.sees('<b>later</b>');
    t.match((await person.texts('.facts'))[0], /Behind1 message.*Failures in a row1.*Next attempt.*Last errorstatus 503/s);
    t.strictSame(await person.looksWrong(), [], `one webhook, ${look.width} ${look.scheme}`);
    await person.press('Delete');
    t.strictSame(await person.looksWrong(), [], `a question, ${look.width} ${look.scheme}`);
    await person.press('Cancel');
    await person.goto('#/connectors');
    await person.page.locator('.chip', { hasText: 'failing' }).waitFor();
    t.strictSame(await person.looksWrong(), [], `connectors, ${look.width} ${look.scheme}`);
    t.strictSame(person.faults, []);
    await person.leave();
  }
});

await t.test('a webhook that is not there is said to be so', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/webhooks');
  await person.signIn(ROOT.text);
  await person.forgiving(async () => {
    await person.goto('#/webhooks/nobody');
    await person.sees('There is no such webhook');
  });
  t.strictSame(person.faults, []);
});

await t.test('connectors: each with its state, why it failed, and a link to its dead letters; its secret is nowhere', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/connectors');
  await person.signIn(ROOT.text);
  const row = person.page.locator('tbody tr', { hasText: 'mirror' });
  await row.locator('.chip', { hasText: 'failing' }).waitFor();
  const cells = await person.texts('tbody td');
  t.match([cells[0], cells[1], cells[2], cells[5]], [/to NATS/, /localhost/, /failing/, /^\S.* ago$/s], 'a slow machine has another reason than ECONNREFUSED');
  t.notMatch(await person.page.content(), /hidden/);
  t.equal(await person.page.getByRole('link', { name: 'dead.⟨U+202E⟩mirror' }).getAttribute('href'), '#/topics/dead.%E2%80%AEmirror', 'no mark turns its letters around');
  t.strictSame(person.faults, []);
});
