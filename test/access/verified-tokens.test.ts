import { t } from 'tap';
import { VerifiedTokens, type Verified } from '../../src/access/tokens/verified-tokens.ts';
import { EC, RSA } from '../support/tokens.ts';

const verified: Verified = { subject: 'alice', permissions: { publish: [], subscribe: [], admin: false, operate: false }, expires: 1000, issuedAt: 0, tokenId: undefined, meta: undefined };
const key = { key: RSA.publicKey, algorithms: ['RS256'] };
const otherKey = { key: EC.publicKey, algorithms: ['ES256'] };

t.test('the cache holds the newest ten thousand, each until it expires', (t) => {
  const tokens = new VerifiedTokens();
  for (let index = 0; index <= 10_000; index++) tokens.add(`${index}`, { verified, key }, 0);
  t.equal(tokens.get('0', 0), undefined);
  t.equal(tokens.get('1', 999), verified);
  t.equal(tokens.get('10000', 999), verified);
  t.equal(tokens.get('1', 1000), undefined);
  t.equal(tokens.get('1', 0), undefined, 'it is gone');
  t.end();
});

t.test('a dropped token stays away, also during its verification', (t) => {
  const tokens = new VerifiedTokens();
  const { generation } = tokens;
  tokens.add('a', { verified, key }, generation);
  tokens.add('b', { verified, key: otherKey }, generation);
  tokens.drop((entry) => entry.key === key);
  tokens.add('late', { verified, key }, generation);
  t.same(['a', 'b', 'late'].map((digest) => tokens.get(digest, 0)), [undefined, verified, undefined]);
  tokens.add('new', { verified, key }, tokens.generation);
  t.equal(tokens.get('new', 0), verified);
  t.end();
});
