import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { t } from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { connect } from '../../src/client/client.ts';
import { Http, type Answer } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';

/** Room in the log as publishers meet it. */

const keys = Object.fromEntries(['bob', 'eve', 'root'].map((name) => [name, makeApiKey()]));
const accessFile = join(tempFolder(t), 'access.json');
writeFileSync(accessFile, JSON.stringify({ keys: Object.entries(keys).map(([name, { id, digest }]) => ({ id, sha256: digest.toString('hex'), name, publish: ['t.>'], subscribe: ['t.>'], ...(name === 'root' ? { admin: true } : {}) })) }));

const DATA = 'x'.repeat(60_000);
/** How many such messages a topic, and a credential, may hold. */
const TOPIC_MESSAGES = 3;
const CREDENTIAL_MESSAGES = 5;
const instance = await startInstance(t, {
  ACCESS_FILE: accessFile, MESSAGE_BYTES: '64KiB', RETENTION_BYTES: '2000000', TOPIC_RETENTION_SHARE: '10', CREDENTIAL_RETENTION_SHARE: '16', LOG_LEVEL: 'info', IDEMPOTENCY_KEYS_LIMIT: '100', PUBLISH_LIMIT: 'off',
});
const http = new Http(t, instance.url);

const as = (name: keyof typeof keys): Record<string, string> => bearer(keys[name]!.text);
const codeOf = ({ status, body }: Answer): string => status < 300 ? String(status) : `${status} ${(JSON.parse(body) as { code: string }).code}`;
const full = '429 topic-quota';

t.test('past its share a topic takes no more, and the others do; the answer names it and says when to come back', async (t) => {
  for (let count = 0; count < TOPIC_MESSAGES; count++) t.equal(codeOf(await http.post('t.loud', DATA, as('bob'))), '201');
  const refused = await http.post('t.loud', DATA, as('bob'));
  t.equal(codeOf(refused), full);
  t.match(refused.headers, { 'content-type': 'application/problem+json', 'retry-after': '60' });
  t.match(JSON.parse(refused.body), { field: 'topic', detail: /The topic t\.loud holds 18\d{4} of the 200000 bytes/ });
  t.equal(codeOf(await http.post('t.quiet', 'x', as('bob'))), '201');
});

t.test('a batch is stored whole or not at all, and the answer names its element', async (t) => {
  const batch = (topics: readonly string[]): Promise<Answer> => http.send('POST', '/messages', { 'content-type': 'application/json', ...as('eve') }, JSON.stringify(topics.map((topic) => ({ topic, data: DATA }))));
  const refused = await batch(['t.a', 't.loud', 't.b']);
  t.equal(codeOf(refused), full);
  t.match(JSON.parse(refused.body), { field: '[1].topic' });
  t.equal(codeOf(await batch(['t.a', 't.b'])), '201');
});

t.test('each refusal counts once, and the client library does not try again', async (t) => {
  const counted = async (): Promise<number> => Number(/^tidings_publishes_refused_total\{code="topic-quota"\} (\d+)$/m.exec((await http.get('/metrics', as('root'))).body)?.[1] ?? 0);
  const before = await counted();
  t.equal(codeOf(await http.post('t.loud', DATA, as('bob'))), full);
  t.equal(codeOf(await http.send('POST', '/messages', { 'content-type': 'application/json', ...as('bob') }, JSON.stringify([{ topic: 't.loud', data: DATA }]))), full);
  const tidings = connect(instance.url, { getToken: () => keys['bob']!.text });
  await t.rejects(tidings.publish('t.loud', DATA), { name: 'TidingsError', code: 'topic-quota', status: 429 });
  tidings.close();
  t.equal(await counted(), before + 3);
});

t.test('a credential may hold its share over all topics', async (t) => {
  for (let count = 2; count < CREDENTIAL_MESSAGES; count++) t.equal(codeOf(await http.post(`t.eve.${count}`, DATA, as('eve'))), '201');
  const refused = await http.post('t.eve', DATA, as('eve'));
  t.equal(codeOf(refused), full);
  t.match(JSON.parse(refused.body), { field: 'Authorization', detail: /The credential key [a-z0-9]+ holds 30\d{4} of the 320000 bytes/ });
  t.equal(codeOf(await http.post('t.quiet', 'x', as('bob'))), '201');
});

t.test('a request with a key that is refused uses no key', async (t) => {
  const refused = await http.post('t.loud', DATA, { ...as('bob'), 'idempotency-key': 'one' });
  t.equal(codeOf(refused), full);
  t.equal(codeOf(await http.post('t.quiet', 'x', { ...as('bob'), 'idempotency-key': 'one' })), '201', 'for another request, too');
});

t.test('an instance that is stopped and started again knows the counts', async (t) => {
  await instance.restart('SIGTERM');
  t.equal(codeOf(await http.post('t.loud', DATA, as('bob'))), full);
  t.equal(codeOf(await http.post('t.other', DATA, as('eve'))), full);
  t.equal(codeOf(await http.post('t.other', DATA, as('bob'))), '201');
});
