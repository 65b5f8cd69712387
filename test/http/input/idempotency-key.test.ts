import fc from 'fast-check';
import { t } from 'tap';
import { fingerprint, KEY_MAX_BYTES, parseKey, requestKey, type RequestIdentity } from '../../../src/http/input/idempotency-key.ts';
import { Problem } from '../../../src/model/problem.ts';

const key = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), minLength: 1, maxLength: KEY_MAX_BYTES });

function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

t.test('quoted and bare are the same key', (t) => {
  t.equal(parseKey('8e03978e-40d5-43e8-bc93-6894a57f9324'), '8e03978e-40d5-43e8-bc93-6894a57f9324');
  t.equal(parseKey('"8e03978e-40d5-43e8-bc93-6894a57f9324"'), '8e03978e-40d5-43e8-bc93-6894a57f9324');
  fc.assert(fc.property(key, (text) => {
    t.equal(parseKey(quoted(text)), text);
    if (text.trim() === text && !text.startsWith('"')) t.equal(parseKey(text), text);
  }));
  t.end();
});

t.test('no header is no key', (t) => {
  t.equal(requestKey({ headers: {}, query: {}, scope: '' }, { kind: 'text', body: Buffer.alloc(0) }, 60), undefined);
  t.end();
});

t.test('an invalid key is refused', (t) => {
  for (const value of ['', '""', '"a', '"a"b', '"a"; x=1', '"a\\n"', '"', 'a\tb', 'schlüssel', '"schlüssel"', 'a\u0000', 'k'.repeat(KEY_MAX_BYTES + 1), quoted('k'.repeat(KEY_MAX_BYTES + 1))]) {
    t.throws(() => parseKey(value), { code: 'invalid-key', field: 'Idempotency-Key' }, JSON.stringify(value));
  }
  t.equal(parseKey(quoted('"'.repeat(KEY_MAX_BYTES))).length, KEY_MAX_BYTES, 'what counts is the key, not its quoting');
  t.end();
});

t.test('every header is a key or a problem', (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
    try {
      const read = parseKey(text);
      return /^[\x20-\x7e]{1,255}$/.test(read);
    } catch (error) {
      return error instanceof Problem && error.code === 'invalid-key';
    }
  }));
  t.end();
});

t.test('requests that differ anywhere have different fingerprints', (t) => {
  const body = (text: string): Uint8Array => Buffer.from(text);
  const requests: readonly RequestIdentity[] = [
    { kind: 'text', topic: 'a', body: body('x') },
    { kind: 'json', topic: 'a', body: body('x') },
    { kind: 'text', topic: 'b', body: body('x') },
    { kind: 'text', topic: 'a', body: body('y') },
    { kind: 'text', topic: 'a', body: body('') },
    { kind: 'text', topic: 'a', event: 'x', body: body('') },
    { kind: 'text', topic: 'a', event: 'x', body: body('x') },
    { kind: 'text', topic: 'ax', body: body('') },
    { kind: 'text', topic: 'a', ttl: 1, body: body('x') },
    { kind: 'text', topic: 'a', ttl: 11, body: body('x') },
    { kind: 'text', topic: 'a', ttl: 1, body: body('1x') },
    { kind: 'array', body: body('x') },
    { kind: 'ndjson', body: body('x') },
    { kind: 'text', topic: 'a","x', body: body('') },
    { kind: 'text', topic: 'a', body: body('\nx') },
  ];
  const digests = requests.map((request) => Buffer.from(fingerprint(request)).toString('hex'));
  t.equal(new Set(digests).size, requests.length);
  t.ok(digests.every((digest) => digest.length === 64));
  t.same(fingerprint({ kind: 'text', topic: 'a', event: undefined, ttl: 0, body: body('x') }), fingerprint(requests[0]!), 'and the same request the same');
  t.end();
});
