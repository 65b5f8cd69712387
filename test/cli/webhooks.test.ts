import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { accessFile, ROOT } from '../support/access-state.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';
import { typed } from '../support/tidings-command.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

/** `tidings webhooks`, as far as its examples do not show it. */

const [receiver, instance] = await Promise.all([WebhookReceiver.start(t), startInstance(t, { ACCESS_FILE: accessFile(t, ['>']), WEBHOOK_ALLOW: '127.0.0.1', LOG_LEVEL: 'error' })]);
const http = new Http(t, instance.url);
const folder = tempFolder(t);
const options = { folder, env: { TIDINGS_URL: instance.url, TIDINGS_TOKEN: ROOT.text } };

async function make(): Promise<string> {
  const { body } = await http.send('POST', '/webhooks', { ...bearer(ROOT.text), 'content-type': 'application/json' }, JSON.stringify({ url: `${receiver.url}/refuses`, topics: ['a'] }));
  return (JSON.parse(body) as { readonly id: string }).id;
}

t.test('a secret of a file is taken, and only the secret goes to standard output', async (t) => {
  const secret = `whsec_${Buffer.alloc(24, 'x').toString('base64')}`;
  writeFileSync(join(folder, 'secret'), `${secret}\n`);
  t.strictSame(await typed(t, `tidings webhooks create ${receiver.url} a --secret-file secret --dead-topic lost --events made 2>/dev/null`, options), { code: 0, output: `${secret}\n` });
  const { webhooks } = JSON.parse((await http.get('/webhooks', bearer(ROOT.text))).body) as { readonly webhooks: readonly { readonly id: string }[] };
  t.match(webhooks, [{ topics: ['a'], deadTopic: 'lost', events: ['made'] }]);
  const { output } = await typed(t, `tidings webhooks change ${webhooks[0]!.id} --no-events --no-dead-topic --json`, options);
  t.match(JSON.parse(output), { deadTopic: `dead.webhooks.${webhooks[0]!.id}`, topics: ['a'] });
  t.notMatch(output, /"events"/);
});

t.test('a receiver that refuses a test delivery is 1, with its answer', async (t) => {
  receiver.answers.set('/refuses', (_received, response) => void response.writeHead(500).end('not\tnow'));
  t.match(await typed(t, `tidings webhooks test ${await make()}`, options), { code: 1, output: /^not delivered: 500 in \d+ ms: not\S+now\n$/ });
});

t.test('what the service refuses is told, with its code and exit code', async (t) => {
  const id = await make();
  for (const [line, code, says] of [
    [`replay ${id} --from yesterday`, 2, /^from must be the id of a message, .* \(invalid-cursor\)\n$/],
    [`change ${id}`, 2, /nothing to change/],
    [`change ${id} --to ftp://example.com`, 2, /url is not valid.*\(invalid-request\)/],
    ['delete ""', 2, /It must be the id of a webhook/],
    ['show ..', 2, /It must be the id of a webhook/],
    ['show nobody', 1, /There is no such webhook\. \(not-found\)/],
    [`rotate ${id} --secret-file no-such-file`, 2, /--secret-file: the file cannot be read \(ENOENT\)/],
  ] as const) t.match(await typed(t, `tidings webhooks ${line}`, options), { code, output: says }, line);
  t.match(await typed(t, 'tidings webhooks', { folder, env: { TIDINGS_URL: instance.url } }), { code: 4, output: /Set TIDINGS_TOKEN/ });
});

t.test('a list of several pages is printed whole', async (t) => {
  const { webhooks } = JSON.parse((await http.get('/webhooks', bearer(ROOT.text))).body) as { readonly webhooks: readonly unknown[] };
  for (let made = webhooks.length; made < 101; made++) await make();
  const { output } = await typed(t, 'tidings webhooks', options);
  const [headings, ...rows] = output.trimEnd().split('\n');
  t.equal(headings, 'id\tstatus\tcircuit\tfailures\tbehind\tlastError\ttopics\turl');
  t.equal(rows.length, 101);
  t.match(rows[0], /^\w{16}\tactive\tclosed\t0\t0\t-\ta\thttp:/);
  t.match(await typed(t, 'tidings webhooks --limit 3', options), { code: 0, output: /^(?:.*\n){4}there are more than 3\n$/ });
});
