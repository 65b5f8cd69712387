import { createHash } from 'node:crypto';
import { t } from 'tap';
import { goodSecret, isApiKey, makeApiKey, readApiKey } from '../../src/access/credentials/api-key.ts';

t.test('a key that was made is read again: its id, and the digest of its secret alone', (t) => {
  const { id, text, digest } = makeApiKey();
  t.match(text, /^tdg_[a-z0-9]{12}_[0-9a-f]{64}$/);
  t.same(readApiKey(text), { id, digest });
  t.same(digest, createHash('sha256').update(text.slice(-64)).digest());
  t.ok(isApiKey(text));
  const again = makeApiKey(id);
  t.equal(again.id, id);
  t.notSame(again.digest, digest, 'with a new secret');
  t.equal(new Set(Array.from({ length: 1_000 }, () => makeApiKey().text)).size, 1_000);
  t.end();
});

t.test('a text that is not a whole key is refused', (t) => {
  const { text } = makeApiKey();
  const wrong = ['', 'tdg_', text.slice(0, -1), `${text}0`, text.toUpperCase(), text.replace('tdg_', 'tdg-'), ` ${text}`, `${text}\n`, text.replace(/_[a-z0-9]{12}_/, '_abc_'), text.replace(/.$/, 'g'), text.replace(/_[a-z0-9]/, '_\u0430')];
  for (const one of wrong) t.equal(readApiKey(one), undefined, JSON.stringify(one));
  t.end();
});

t.test('a secret is good until its own end, whichever of a key\'s secrets it is', (t) => {
  const [old, fresh, other] = [makeApiKey(), makeApiKey(), makeApiKey()].map(({ digest }) => digest) as [Buffer, Buffer, Buffer];
  const secrets = [{ digest: fresh, expires: undefined }, { digest: old, expires: 1_000 }];
  t.equal(goodSecret(fresh, secrets, 5_000), secrets[0]);
  t.equal(goodSecret(old, secrets, 999), secrets[1]);
  t.equal(goodSecret(old, secrets, 1_000), undefined);
  t.equal(goodSecret(other, secrets, 0), undefined);
  t.equal(goodSecret(other, [], 0), undefined);
  t.end();
});
