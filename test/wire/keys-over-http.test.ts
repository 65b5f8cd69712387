import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';

/** `/keys`, as an administrator uses it. Who else gets in is in test/fleet/access-matrix.test.ts. */

interface Shown {
  readonly id: string;
  readonly key?: string;
  readonly [member: string]: unknown;
}

const BAD: readonly (readonly [method: string, path: string, body: string, status: number, field: string | undefined])[] = [
  ['POST', '/keys', '', 400, undefined],
  ['POST', '/keys', '{', 400, undefined],
  ['POST', '/keys', '[]', 400, undefined],
  ['POST', '/keys', '{"admin":true}', 400, 'name'],
  ['POST', '/keys', '{"name":"x","subscribe":["a"],"subscribe":[">"]}', 400, undefined],
  ['POST', '/keys', '{"name":"x"}', 400, 'subscribe'],
  ['POST', '/keys', '{"name":"x","publish":["a b"]}', 400, 'publish[0]'],
  ['POST', '/keys', '{"name":"x","admin":true,"expires":"1d"}', 400, 'expires'],
  ['POST', '/keys', `{"name":"x","admin":true,"more":"${'x'.repeat(70_000)}"}`, 413, undefined],
  ['POST', '/keys/abcdefghijkl/rotate', '{"overlapSeconds":-1}', 400, 'overlapSeconds'],
  ['POST', '/keys/abcdefghijkl/rotate', '{}', 404, 'id'],
  ['POST', '/keys/x/rotate', '{}', 404, 'id'],
  ['DELETE', '/keys/abcdefghijkl', '', 404, 'id'],
  ['DELETE', '/keys/%00', '', 404, 'id'],
  ['GET', '/keys/abcdefghijkl', '', 404, 'id'],
  ['GET', "/keys/'%20OR%201=1", '', 404, 'id'],
  ['GET', '/keys?limit=0', '', 400, 'limit'],
  ['GET', '/keys?limit=501', '', 400, 'limit'],
  ['GET', '/keys?limt=5', '', 400, 'limt'],
  ['GET', '/keys?after=a&after=b', '', 400, 'after'],
];

t.test('an administrator makes, lists, rotates and revokes keys', async (t) => {
  const root = makeApiKey();
  const file = join(tempFolder(t), 'access.json');
  writeFileSync(file, JSON.stringify({ keys: [{ id: root.id, sha256: root.digest.toString('hex'), name: 'root', admin: true }] }));
  const http = new Http(t, (await startInstance(t, { ACCESS_FILE: file })).url);
  const ask = async <Body = Shown>(method: string, path: string, body?: object): Promise<{ status: number; body: Body; headers: Record<string, unknown> }> => {
    const answer = await http.send(method, path, bearer(root.text), body === undefined ? undefined : JSON.stringify(body));
    return { status: answer.status, body: JSON.parse(answer.body) as Body, headers: answer.headers };
  };
  const publish = async (key: string | undefined): Promise<number> => (await http.post('a', 'x', bearer(key!))).status;

  for (const [method, path, body, status, field] of BAD) {
    const answer = await http.send(method, path, bearer(root.text), body === '' && method !== 'POST' ? undefined : body);
    t.match({ status: answer.status, field: (JSON.parse(answer.body) as { field?: string }).field }, { status, field }, `${method} ${path} ${body.slice(0, 60)}`);
  }

  const made = await ask('POST', '/keys', { name: 'ci', publish: ['a'], expiresInSeconds: 3600 });
  t.match(made, { status: 201, headers: { location: `/keys/${made.body.id}`, 'cache-control': 'no-store' }, body: { name: 'ci', publish: ['a'], subscribe: [], admin: false, operate: false, key: /^tdg_/ } });
  t.equal(await publish(made.body.key), 201, 'at once');
  t.equal((await ask('GET', `/keys/${made.body.id}`)).body.key, undefined, 'it is shown once');

  const rotated = await ask('POST', `/keys/${made.body.id}/rotate`, {});
  t.equal(rotated.status, 201);
  t.same([await publish(rotated.body.key), await publish(made.body.key)], [201, 401], 'without an overlap the old secret ends');

  for (let count = 0; count < 5; count++) await ask('POST', '/keys', { name: `more ${count}`, subscribe: ['a'] });
  const ids: string[] = [];
  for (let after = ''; ;) {
    const { body: { keys, more } } = await ask<{ keys: Shown[]; more: boolean }>('GET', `/keys?limit=2&after=${after}`);
    ids.push(...keys.map(({ id }) => id));
    if (!more) break;
    after = ids.at(-1)!;
  }
  t.equal(new Set(ids).size, 6);
  t.same(ids, [...ids].sort(), 'in the order of their ids');

  const revoked = await ask('DELETE', `/keys/${made.body.id}`);
  t.match(revoked, { status: 200, body: { id: made.body.id, revoked: /^2/ } });
  t.match(await ask('DELETE', `/keys/${made.body.id}`), { status: 200, body: { revoked: revoked.body['revoked'] } }, 'again, the same');
  t.equal(await publish(rotated.body.key), 401);
  t.equal((await ask('POST', `/keys/${made.body.id}/rotate`, {})).status, 404, 'a key that has ended gets no new secret');
});
