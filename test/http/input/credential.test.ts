import { t } from 'tap';
import { readCredential } from '../../../src/http/input/credential.ts';
import { Problem } from '../../../src/model/problem.ts';

const KEY = `tdg_abcdefghijkl_${'0123456789abcdef'.repeat(4)}`;
const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

const READ: readonly (readonly [authorization: string | undefined, credential: string | undefined, why: string])[] = [
  [undefined, undefined, 'there is none'],
  [`Bearer ${KEY}`, KEY, 'RFC 6750'],
  [`bearer ${KEY}`, KEY, 'a scheme has no case (RFC 9110, section 11.1)'],
  [`BEARER   ${KEY}`, KEY, 'blanks'],
  ['Bearer a.b-c_d~e+f/g==', 'a.b-c_d~e+f/g==', 'all that a token may have'],
  [basic(`me:${KEY}`), KEY, 'curl -u me:key'],
  [basic(`:${KEY}`), KEY, 'curl -u :key'],
  [basic(`${KEY}:`), KEY, 'curl -u key:'],
  [basic('me:a:b'), 'a:b', 'a password may have colons (RFC 7617)'],
];

const REFUSED: readonly (readonly [authorization: string, why: RegExp])[] = [
  ['', /takes Bearer/],
  ['Bearer', /takes Bearer/],
  ['Bearer ', /takes Bearer/],
  [KEY, /takes Bearer/],
  [`Token ${KEY}`, /takes Bearer/],
  [`Digest username="x"`, /takes Bearer/],
  [`Bearer ${KEY} ${KEY}`, /takes Bearer/],
  [`Bearer ${KEY}, Bearer ${KEY}`, /takes Bearer/],
  [`Bearer ${KEY}\u00e9`, /takes Bearer/],
  ['Basic !!!', /takes Bearer/],
  [basic(''), /takes Bearer/],
  [basic(':'), /no password/],
  [`Basic ${Buffer.from('no colon').toString('base64')}`, /no password/],
  [`Bearer ${'x'.repeat(9_000)}`, /longer than 8192 bytes/],
];

t.test('a credential is what follows Bearer, or the password of Basic', (t) => {
  for (const [authorization, credential, why] of READ) t.equal(readCredential({ authorization }), credential, why);
  t.end();
});

t.test('a header that can be no credential is refused, and the answer does not repeat it', (t) => {
  for (const [authorization, why] of REFUSED) {
    const problem = readCredential({ authorization });
    t.ok(problem instanceof Problem, authorization.slice(0, 40));
    t.match(problem, { code: 'invalid-credential', status: 401, field: 'Authorization', message: why });
    t.notOk((problem as Problem).message.includes(KEY.slice(-20)));
  }
  t.end();
});
