import t from 'tap';
import { readRevocationRequest } from '../../src/access/credentials/revocation-request.ts';
import { Problem } from '../../src/model/problem.ts';

const NOW = Date.parse('2026-11-22T10:00:00Z');
const RULES = { maxSeconds: 86_400, now: NOW };
const LIFETIME_MS = 86_520_000;

t.test('tokens are revoked by their id, by their subject, and by when they were issued', async (t) => {
  const before = NOW - 5_000;
  t.same(readRevocationRequest({ jti: 'a' }, RULES), { kind: 'jti', name: 'a', before: undefined, lifetimeMs: LIFETIME_MS });
  t.same(readRevocationRequest({ sub: 'größe' }, RULES), { kind: 'sub', name: 'größe', before: undefined, lifetimeMs: LIFETIME_MS });
  t.same(readRevocationRequest({ sub: 'a', issuedBefore: '2026-11-22T09:59:55Z' }, RULES), { kind: 'sub', name: 'a', before, lifetimeMs: LIFETIME_MS });
  t.same(readRevocationRequest({ issuedBefore: '2026-11-22T10:59:55+01:00' }, RULES), { kind: 'all', name: '', before, lifetimeMs: LIFETIME_MS });
});

const WRONG: readonly (readonly [request: unknown, field: string | undefined])[] = [
  [undefined, undefined], [null, undefined], [[], undefined], ['x', undefined], [{}, 'jti'],
  [{ jti: '' }, 'jti'], [{ jti: 7 }, 'jti'], [{ jti: null }, 'jti'], [{ jti: 'a\0b' }, 'jti'], [{ jti: '\ud800' }, 'jti'], [{ jti: 'x'.repeat(256) }, 'jti'],
  [{ jti: 'a', sub: 'a' }, 'jti'], [{ jti: 'a', issuedBefore: '2026-11-22T10:00:00Z' }, 'jti'],
  [{ sub: '' }, 'sub'], [{ sub: ['a'] }, 'sub'], [{ sub: 'é'.repeat(128) }, 'sub'],
  [{ issuedBefore: NOW }, 'issuedBefore'], [{ issuedBefore: '' }, 'issuedBefore'], [{ issuedBefore: '2026-11-22' }, 'issuedBefore'], [{ issuedBefore: 'now' }, 'issuedBefore'],
  [{ issuedBefore: '1960-01-01T00:00:00Z' }, 'issuedBefore'], [{ issuedBefore: '2026-11-22T10:01:01Z' }, 'issuedBefore'], [{ issuedBefore: '2026-11-21T09:57:59Z' }, 'issuedBefore'],
  [{ sub: 'a', issuedBefore: '2020-01-01T00:00:00Z' }, 'issuedBefore'], [{ sub: 'a', before: '2026-11-22T10:00:00Z' }, 'before'], [{ sub: 'a', iat: 1 }, 'iat'],
];

t.test('an invalid request is refused, and the member named', async (t) => {
  for (const [request, field] of WRONG) {
    try {
      readRevocationRequest(request, RULES);
      t.fail(JSON.stringify(request));
    } catch (error) {
      t.match(error, { constructor: Problem, code: 'invalid-request' }, JSON.stringify(request));
      t.equal((error as Problem).field, field, JSON.stringify(request));
    }
  }
});
