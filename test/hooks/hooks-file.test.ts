import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConfigError } from '../../src/config/config.ts';
import { Hooks } from '../../src/hooks/hooks.ts';
import { readHooks } from '../../src/hooks/hooks-file.ts';
import { Problem } from '../../src/model/problem.ts';
import { tempFolder } from '../support/temp.ts';

const SECRET = 'not-to-be-seen-anywhere';
const GOOD = { from: 'github', secret: SECRET, publish: ['github.>'], topic: 'github.{header:X-GitHub-Event}' };

t.test('a file of hooks', (t) => {
  const file = join(tempFolder(t), 'hooks.yaml');
  writeFileSync(file, `
hooks:
  deploys:
    from: github
    secret: {env: HOOK}
    publish: [deploys.>]
    topic: deploys.{/repository/name}
  other:
    from: basic
    user: me
    secret: ["${SECRET}", {env: HOOK}]
    publish: [other]
    topic: other
    each: /items
    ttl: 60
`);
  const hooks = Hooks.read({ HOOKS_FILE: file }, { HOOK: `${SECRET}-too` });
  t.match(hooks.find('other'), { each: ['items'], ttl: 60, event: undefined, key: undefined, identity: { scope: 'hook:other', mayAdminister: false, mayOperate: false, credential: undefined } });
  const { grant } = hooks.find('deploys')!.identity;
  t.same([grant.mayPublish('deploys.a'), grant.mayPublish('other'), grant.mayRead('deploys.a'), grant.mayErase('deploys.a')], [true, false, false, false]);
  t.equal(hooks.find('nothing'), undefined);
  t.equal(hooks.find('toString'), undefined);
  t.equal(Hooks.read({ HOOKS_FILE: undefined }, {}).find('deploys'), undefined);
  t.throws(() => Hooks.read({ HOOKS_FILE: file }, {}), new ConfigError(['HOOKS_FILE: hooks.deploys.secret.env is not valid: the variable HOOK is not set.']));
  t.throws(() => Hooks.read({ HOOKS_FILE: '/nowhere/at/all' }, {}), /HOOKS_FILE: .*ENOENT/);
  t.end();
});

t.test('an error names the fault in the file, and repeats no secret', (t) => {
  const one = (more: object): unknown => ({ hooks: { a: { ...GOOD, ...more } } });
  const cases: readonly (readonly [file: unknown, field: string | undefined, why: RegExp])[] = [
    [`{"hooks": ${SECRET}`, undefined, /it is no JSON and no YAML/],
    [{}, 'hooks', /must be an object/],
    [{ hooks: [] }, 'hooks', /must be an object/],
    [{ hooks: {}, other: 1 }, 'other', /not known here/],
    [{ hooks: { 'A b': GOOD } }, 'hooks', /name of hook 1 must be small letters/],
    [{ hooks: { [SECRET.repeat(4)]: GOOD } }, 'hooks', /at most 64/],
    [{ hooks: { a: 7 } }, 'hooks.a', /must be an object/],
    [one({ form: 'github' }), 'hooks.a.form', /not known here/],
    [one({ from: undefined }), 'hooks.a.from', /one of github, gitlab/],
    [one({ from: 'constructor' }), 'hooks.a.from', /one of github, gitlab/],
    [one({ secret: undefined }), 'hooks.a.secret', /must be a secret/],
    [one({ secret: [] }), 'hooks.a.secret', /one secret, or an array of up to 4/],
    [one({ secret: [SECRET, SECRET, SECRET, SECRET, SECRET] }), 'hooks.a.secret', /array of up to 4/],
    [one({ secret: [SECRET, 'short'] }), 'hooks.a.secret[1]', /at least 16 characters/],
    [one({ secret: `${SECRET}é` }), 'hooks.a.secret', /printable ASCII/],
    [one({ secret: 1234567890123456 }), 'hooks.a.secret', /must be an object/],
    [one({ secret: { env: 'A-B' } }), 'hooks.a.secret.env', /name of a variable/],
    [one({ secret: { env: 'NOTHING' } }), 'hooks.a.secret.env', /NOTHING is not set/],
    [one({ secret: { file: 'x' } }), 'hooks.a.secret.file', /not known here/],
    [one({ from: 'standard-webhooks', secret: 'whsec_c2hvcnQtMQ==' }), 'hooks.a.secret', /at least 16 characters/],
    [one({ from: 'standard-webhooks', secret: `whsec_${SECRET}` }), 'hooks.a.secret', /whsec_ and Base64/],
    [one({ user: 'me' }), 'hooks.a.user', /hooks from github do not have it/],
    [one({ signature: {} }), 'hooks.a.signature', /hooks from github do not have it/],
    [one({ timestampHeader: 'X' }), 'hooks.a.timestampHeader', /do not have it/],
    [one({ from: 'basic' }), 'hooks.a.user', /name of a user/],
    [one({ from: 'basic', user: 'a:b' }), 'hooks.a.user', /without a colon/],
    [one({ from: 'hmac' }), 'hooks.a.signature.header', /name of a header/],
    [one({ from: 'hmac', signature: { header: 'a b' } }), 'hooks.a.signature.header', /name of a header/],
    [one({ from: 'hmac', signature: { header: 'X', algorithm: 'md5' } }), 'hooks.a.signature.algorithm', /one of sha1, sha256, sha512/],
    [one({ from: 'hmac', signature: { header: 'X', encoding: 'latin1' } }), 'hooks.a.signature.encoding', /one of hex, base64/],
    [one({ from: 'hmac', signature: { header: 'X', prefix: 1 } }), 'hooks.a.signature.prefix', /text before/],
    [one({ publish: undefined }), 'hooks.a.publish', /topics and patterns/],
    [one({ publish: ['a b'] }), 'hooks.a.publish[0]', /not valid/],
    [one({ topic: undefined }), 'hooks.a.topic', /must be a text/],
    [one({ topic: '$sys.{/a}' }), 'hooks.a.topic', /not valid/],
    [one({ topic: 'a..{/a}' }), 'hooks.a.topic', /not valid/],
    [one({ topic: 'other' }), 'hooks.a.topic', /publish does not allow it/],
    [one({ topic: 'a.*' }), 'hooks.a.topic', /not valid/],
    [one({ topic: 'a.{repository}' }), 'hooks.a.topic', /JSON pointer/],
    [one({ event: 7 }), 'hooks.a.event', /must be a text/],
    [one({ key: '{header:}' }), 'hooks.a.key', /neither/],
    [one({ each: 'alerts' }), 'hooks.a.each', /begins with \//],
    [one({ each: 7 }), 'hooks.a.each', /JSON pointer/],
    [one({ ttl: 0 }), 'hooks.a.ttl', /from 1 to/],
    [one({ ttl: '60' }), 'hooks.a.ttl', /whole number/],
  ];
  for (const [file, field, why] of cases) {
    const text = typeof file === 'string' ? file : JSON.stringify(file);
    try {
      readHooks(text, {});
      t.fail(text);
    } catch (error) {
      t.equal(error instanceof Problem ? error.field : undefined, field, text);
      t.match((error as Error).message, why, text);
      t.notMatch((error as Error).message, /not-to-be-seen/, text);
    }
  }
  t.end();
});
