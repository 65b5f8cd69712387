import { t } from 'tap';
import { readKeyRequest, readOverlap } from '../../src/access/credentials/key-request.ts';
import { Problem } from '../../src/model/problem.ts';

t.test('a key has a name and permissions', (t) => {
  t.same(readKeyRequest({ name: 'ci', publish: ['deploys.>'] }), { name: 'ci', permissions: { publish: ['deploys.>'], subscribe: [], admin: false, operate: false }, lifetimeMs: undefined });
  t.same(readKeyRequest({ name: 'me', admin: true, expiresInSeconds: 60 }), { name: 'me', permissions: { publish: [], subscribe: [], admin: true, operate: false }, lifetimeMs: 60_000 });
  t.same(readKeyRequest({ name: 'prometheus', operate: true }), { name: 'prometheus', permissions: { publish: [], subscribe: [], admin: false, operate: true }, lifetimeMs: undefined });
  t.same(readKeyRequest({ name: 'board', presence: ['room.>'] }).permissions, { publish: [], subscribe: [], presence: ['room.>'], admin: false, operate: false });
  t.equal(readOverlap({}), 0);
  t.equal(readOverlap({ overlapSeconds: 3600 }), 3_600_000);
  t.end();
});

const WRONG: readonly (readonly [request: unknown, field: string | undefined, why: RegExp])[] = [
  [undefined, undefined, /must be an object/],
  [null, undefined, /must be an object/],
  [[], undefined, /must be an object/],
  ['x', undefined, /must be an object/],
  [{}, 'name', /must be a text/],
  [{ name: ' ' }, 'name', /must be a text/],
  [{ name: 7, admin: true }, 'name', /must be a text/],
  [{ name: 'x'.repeat(101), admin: true }, 'name', /longer than 100/],
  [{ name: 'a\nb', admin: true }, 'name', /cannot be seen/],
  [{ name: 'a\u202eb', admin: true }, 'name', /cannot be seen/],
  [{ name: '\ud800', admin: true }, 'name', /cannot be seen/],
  [{ name: 'x' }, 'subscribe', /would allow nothing/],
  [{ name: 'x', publish: [], subscribe: [] }, 'subscribe', /would allow nothing/],
  [{ name: 'x', publish: 'a' }, 'publish', /must be an array/],
  [{ name: 'x', publish: [7] }, 'publish[0]', /must be a text/],
  [{ name: 'x', publish: ['a', 'a..b'] }, 'publish[1]', /empty segment/],
  [{ name: 'x', subscribe: ['a.>.b'] }, 'subscribe[0]', /last segment/],
  [{ name: 'x', subscribe: [''] }, 'subscribe[0]', /empty/],
  [{ name: 'x', subscribe: Array.from({ length: 101 }, () => 'a') }, 'subscribe', /more than 100/],
  [{ name: 'x', presence: 'a' }, 'presence', /must be an array/],
  [{ name: 'x', presence: ['a', 'a.>.b'] }, 'presence[1]', /last segment/],
  [{ name: 'x', presence: Array.from({ length: 101 }, () => 'a') }, 'presence', /more than 100/],
  [{ name: 'x', admin: 'yes' }, 'admin', /true or false/],
  [{ name: 'x', operate: 1 }, 'operate', /true or false/],
  [{ name: 'x', operate: false }, 'subscribe', /would allow nothing/],
  [{ name: 'x', admin: true, expiresInSeconds: 0 }, 'expiresInSeconds', /whole number/],
  [{ name: 'x', admin: true, expiresInSeconds: 1.5 }, 'expiresInSeconds', /whole number/],
  [{ name: 'x', admin: true, expiresInSeconds: '60' }, 'expiresInSeconds', /whole number/],
  [{ name: 'x', admin: true, expiresInSeconds: 1e12 }, 'expiresInSeconds', /whole number/],
  [{ name: 'x', admin: true, expires: '1d' }, 'expires', /not known here/],
  [JSON.parse('{"name":"x","admin":true,"__proto__":{}}'), '__proto__', /not known here/],
];

t.test('a key that is asked for wrongly is refused, with the member that is wrong', (t) => {
  for (const [request, field, why] of WRONG) {
    try {
      readKeyRequest(request);
      t.fail(JSON.stringify(request));
    } catch (error) {
      t.ok(error instanceof Problem && error.status === 400 && error.field === field && why.test(error.message), `${JSON.stringify(request)?.slice(0, 60)}: ${String(error)}`);
    }
  }
  for (const wrong of [{ overlapSeconds: -1 }, { overlapSeconds: '1' }, { overlapSeconds: 1e9 }, { overlap: 1 }, []]) t.throws(() => readOverlap(wrong), { code: 'invalid-request' }, JSON.stringify(wrong));
  t.end();
});
