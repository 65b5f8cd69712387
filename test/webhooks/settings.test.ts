import t from 'tap';
import { readWebhookAllow } from '../../src/config/webhook-allow.ts';
import { settingsOf, settingsText } from '../../src/webhooks/settings.ts';
import { makeSecret } from '../../src/webhooks/signature.ts';
import { changedSettings, readWebhookRequest } from '../../src/webhooks/webhook-request.ts';

const BOUNDS = { allow: readWebhookAllow(''), maxTopics: 1_000 };
const SMALL = { url: 'https://example.com/', topics: ['a'] };
const EVENTS = Array.from({ length: 100 }, (_, index) => `${index}${'e'.repeat(1_000)}`);
const TOPICS = Array.from({ length: 1_000 }, (_, index) => `${index}.${'t'.repeat(200)}`);

t.test('names that are allowed one by one, and do not fit into a row of the database, are refused by their member', async (t) => {
  t.throws(() => readWebhookRequest({ ...SMALL, events: EVENTS }, BOUNDS), { code: 'invalid-request', field: 'events' });
  t.throws(() => readWebhookRequest({ ...SMALL, topics: TOPICS }, BOUNDS), { code: 'invalid-request', field: 'topics' });
  const { settings } = readWebhookRequest(SMALL, BOUNDS);
  t.throws(() => changedSettings(settings, { events: EVENTS }, BOUNDS), { code: 'invalid-request', field: 'events' });
});

t.test('unreadable settings are reported without their text: they hold secrets', async (t) => {
  const secret = makeSecret();
  const text = settingsText({ ...SMALL, format: 'json', secrets: [{ secret }] });
  t.equal(settingsOf(text).secrets[0]!.secret, secret);
  for (const broken of [text.replace(secret.slice(6), '" geheim'), text.replace('"json"', '"other"'), `${secret}geheim`]) {
    const error = t.throws(() => settingsOf(broken), { name: 'TypeError' }) as unknown as Error;
    t.notMatch(`${error.message} ${String(error.cause)}`, /whsec|geheim/);
  }
});
