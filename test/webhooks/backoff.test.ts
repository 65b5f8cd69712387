import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { pauseMs, retryAfterMs } from '../../src/webhooks/backoff.ts';
import { makeSecret, readSecret, signatureHeaders } from '../../src/webhooks/signature.ts';

t.test('the pause doubles up to an hour, half of it by chance, and a receiver may ask for more, up to a day', async (t) => {
  t.same([1, 2, 3, 4].map((failures) => pauseMs(failures, 5_000, undefined, () => 1)), [5_000, 10_000, 20_000, 40_000]);
  t.equal(pauseMs(1, 5_000, undefined, () => 0), 2_500);
  for (const failures of [20, 1_000, 1_000_000]) t.equal(pauseMs(failures, 5_000, undefined, () => 1), 3_600_000);
  t.equal(pauseMs(1, 5_000, 60_000, () => 1), 60_000);
  t.equal(pauseMs(4, 5_000, 1_000, () => 1), 40_000, 'less than the pause is no reason to hurry');
  t.equal(pauseMs(1, 5_000, 1e15, () => 1), 86_400_000);
});

t.test('Retry-After is seconds or a date', async (t) => {
  const now = Date.parse('2026-11-30T12:00:00Z');
  for (const [header, expected] of [[undefined, undefined], ['120', 120_000], ['0', 0], ['Mon, 30 Nov 2026 12:01:00 GMT', 60_000], ['Mon, 30 Nov 2026 11:00:00 GMT', 0], ['soon', undefined], ['-1', undefined], ['1.5', undefined], ['99999999999', undefined], ['2026-11-30', undefined]] as const) t.equal(retryAfterMs(header, now), expected, String(header));
});

t.test('signatures follow Standard Webhooks, with each valid secret', async (t) => {
  const now = Date.now();
  const [newest, old, ended] = [makeSecret(), makeSecret(), makeSecret()];
  const body = Buffer.from('{"größe":1}');
  const headers = signatureHeaders('abcdefgh-1', body, [{ secret: newest }, { secret: old, until: now + 60_000 }, { secret: ended, until: now }], now);
  for (const secret of [newest, old]) new Webhook(secret).verify(body.toString(), { ...headers });
  t.throws(() => new Webhook(ended).verify(body.toString(), { ...headers }));
  t.equal(headers['webhook-signature'], `${new Webhook(newest).sign('abcdefgh-1', new Date(now), body.toString())} ${new Webhook(old).sign('abcdefgh-1', new Date(now), body.toString())}`);
});

t.test('a secret that is brought along is checked, and never repeated', async (t) => {
  t.match(readSecret(makeSecret()), /^whsec_/);
  for (const secret of [`whsec_${Buffer.alloc(23).toString('base64')}`, `whsec_${Buffer.alloc(65).toString('base64')}`, 'whsec_geheim!', 'geheim', '', 5, null, {}, Buffer.alloc(32).toString('base64')]) {
    try {
      readSecret(secret);
      t.fail(JSON.stringify(secret));
    } catch (error) {
      t.match(error, { code: 'invalid-request', field: 'secret' });
      t.notMatch((error as Error).message, 'geheim');
    }
  }
});
