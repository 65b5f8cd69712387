import { setImmediate as turn } from 'node:timers/promises';
import type { Test } from 'tap';
import type { KeyStore } from '../../src/store/contracts/key-store.ts';
import { rounds } from '../support/rounds.ts';
import { digestsOf, find, hex, newKey, sha256, versionOf, type Instances } from './key-store-kit.ts';
import { range } from './store-kit.ts';

const ROUNDS = rounds(10, 200, 5);
const CHANGES = 200;

export async function races(t: Test, { store: { keys }, other }: Instances): Promise<void> {
  await t.test('of two creations with one id one happens', async (t) => {
    for (const round of range(1, ROUNDS)) {
      const id = `id${round}`;
      const before = await versionOf(keys);
      const created = await Promise.all([keys.createKey(newKey(id, { name: 'one' })), other.createKey(newKey(id, { name: 'two' }))]);
      const [winner, second] = created.filter((key) => key !== undefined);
      t.equal(second, undefined);
      t.same(await find(keys, id), winner);
      t.equal(await versionOf(keys), before + 1);
    }
  });

  await t.test('one creation that is asked for twice at once happens once', async (t) => {
    for (const round of range(1, ROUNDS)) {
      const before = await versionOf(keys);
      const key = newKey(`same${round}`);
      const [one, two] = await Promise.all([keys.createKey(key), other.createKey(key)]);
      t.ok(one);
      t.same(one, two);
      t.equal(await versionOf(keys), before + 1);
    }
  });

  await t.test('a key that is revoked and rotated at once has ended', async (t) => {
    for (const round of range(1, ROUNDS)) {
      const id = `id${round}`;
      const before = await versionOf(keys);
      const digest = sha256(id);
      const [rotated, revoked] = round % 2 === 0
        ? await Promise.all([keys.rotateKey(id, { digest, overlapMs: 0 }), other.revokeKey(id)])
        : (await Promise.all([other.revokeKey(id), keys.rotateKey(id, { digest, overlapMs: 0 })])).reverse();
      t.type(revoked?.revoked, 'number');
      const found = await find(keys, id);
      t.equal(found.revoked, revoked!.revoked);
      t.equal(digestsOf(found)[0] === hex(digest), rotated !== undefined);
      t.equal(await versionOf(keys), before + (rotated === undefined ? 1 : 2));
    }
  });

  await t.test('two rotations at once leave the newest secret and the one before it', async (t) => {
    const first = newKey('both');
    await keys.createKey(first);
    let newest = hex(first.digest);
    for (const round of range(1, ROUNDS)) {
      const digests = ['a', 'b'].map((name) => sha256(`${name}${round}`));
      await Promise.all([keys.rotateKey('both', { digest: digests[0]!, overlapMs: 60_000 }), other.rotateKey('both', { digest: digests[1]!, overlapMs: 60_000 })]);
      const kept = digestsOf(await find(keys, 'both'));
      t.same([...kept].sort(), digests.map(hex).sort(), `${newest} is no longer good`);
      newest = kept[0]!;
    }
  });

  await t.test('many changes at once: versions have no holes, and a follower sees each once', async (t) => {
    const { version: before } = await keys.keyChanges(0);
    let running = true;
    const follow = async (through: KeyStore): Promise<string[]> => {
      const seen: string[] = [];
      let at = before;
      // One more round at the end, for what came last.
      for (let last = false; !last;) {
        last = !running;
        const { version, changed } = await through.keyChanges(at);
        // Each change here is of a key of its own.
        if (changed?.length !== version - at) throw new Error(`from ${at} to ${version} there are ${changed?.length} changes`);
        seen.push(...changed);
        at = version;
        await turn();
      }
      return seen;
    };
    const followers = [follow(keys), follow(other)];
    const uses = [keys, other].map(async (through, index) => {
      while (running) {
        const ids = range(1, CHANGES).map((number) => `many${number}`);
        await through.noteUse(index === 0 ? ids : ids.reverse());
        await turn();
      }
    });
    const created = await Promise.all(range(1, CHANGES).map((number) => (number % 2 === 0 ? keys : other).createKey(newKey(`many${number}`))));
    running = false;
    const [seen, seenByOther] = await Promise.all(followers);
    await Promise.all(uses);
    t.equal(await versionOf(keys), before + CHANGES);
    t.equal(created.filter((key) => key !== undefined).length, CHANGES);
    t.same([...seen!].sort(), range(1, CHANGES).map((number) => `many${number}`).sort());
    t.same(seenByOther, seen);
    t.same((await other.keyChanges(before)).changed, seen, 'in the order in which they were seen');
  });
}
