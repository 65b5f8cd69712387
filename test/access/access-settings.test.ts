import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { t, type Test } from 'tap';
import { readAccess } from '../../src/access/access-settings.ts';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { ConfigError, readConfig } from '../../src/config/config.ts';

const KEY = makeApiKey();
const ENTRY = { id: KEY.id, sha256: KEY.digest.toString('hex'), name: 'ci', publish: ['deploys.>'] };

function read(environment: Readonly<Record<string, string>>): ReturnType<typeof readAccess> {
  return readAccess(readConfig(environment, { dotenv: false }));
}

function file(t: Test, text: string): Record<string, string> {
  const path = join(t.testdir(), 'access.yaml');
  writeFileSync(path, text);
  return { ACCESS_FILE: path };
}

const JWT_SECRET = 'a secret of more than thirty-two bytes';

const MODES: readonly (readonly [environment: Readonly<Record<string, string>>, mode: string, needsKeys: boolean])[] = [
  [{}, 'loopback', false],
  [{ HOST: '::1' }, 'loopback', false],
  [{ HOST: 'localhost' }, 'loopback', false],
  [{ HOST: '0.0.0.0' }, 'on', true],
  [{ HOST: '192.0.2.7' }, 'on', true],
  [{ HOST: '0.0.0.0', AUTH: 'on' }, 'on', false],
  [{ HOST: '0.0.0.0', AUTH: 'off' }, 'off', false],
  [{ HOST: '0.0.0.0', JWT_SECRET }, 'on', false],
  [{ HOST: '0.0.0.0', PUBLIC_TOPICS: 'news.>' }, 'on', false],
  [{ AUTH: 'on' }, 'on', false],
  [{ AUTH: 'off' }, 'off', false],
  [{ JWT_SECRET }, 'on', false],
  [{ PUBLIC_TOPICS: 'news.>' }, 'on', false],
  [{ PUBLIC_PUBLISH: 'feedback' }, 'on', false],
];

t.test('it is open on a loopback address alone, and only where no setting says who may come in', (t) => {
  for (const [environment, mode, needsKeys] of MODES) {
    const access = read(environment);
    t.equal(access.settings.mode, mode, JSON.stringify(environment));
    t.equal(access.settings.needsKeys, needsKeys, JSON.stringify(environment));
  }
  t.end();
});

t.test('a file declares keys, as JSON or YAML', (t) => {
  for (const text of [JSON.stringify({ keys: [ENTRY] }), `keys:\n  - id: ${ENTRY.id}\n    sha256: ${ENTRY.sha256}\n    name: ci\n    publish: [deploys.>]\n`]) {
    const { declared, settings } = read({ HOST: '0.0.0.0', ...file(t, text) });
    t.equal(settings.mode, 'on');
    t.equal(settings.needsKeys, false);
    t.match(declared.get(KEY.id), { name: 'ci', permissions: { publish: ['deploys.>'], subscribe: [], admin: false, operate: false }, secrets: [{ digest: KEY.digest }] });
  }
  t.end();
});

const WRONG: readonly (readonly [text: string, why: RegExp])[] = [
  ['', /must be an object/],
  ['[]', /must be an object/],
  ['keys: 7', /keys must be a list/],
  ['key: []', /key.*not known/],
  ['keys: [7]', /keys\[0\].*must be an object/],
  [': [', /no JSON and no YAML \(line 1/],
  [`keys: [${JSON.stringify(ENTRY)}`, /no JSON and no YAML \(line 1/],
  [`{"keys": [${JSON.stringify(ENTRY)}]} }`, /no JSON and no YAML \(line 1/],
  [JSON.stringify({ keys: [{ ...ENTRY, id: 'x' }] }), /keys\[0\]\.id must be/],
  [JSON.stringify({ keys: [{ ...ENTRY, sha256: 'x' }] }), /keys\[0\]\.sha256 must be/],
  [JSON.stringify({ keys: [{ ...ENTRY, secret: KEY.text }] }), /keys\[0\]\.secret.*not known/],
  [JSON.stringify({ keys: [{ ...ENTRY, name: '' }] }), /keys\[0\]\.name/],
  [JSON.stringify({ keys: [{ ...ENTRY, publish: ['a..b'] }] }), /keys\[0\]\.publish\[0\]/],
  [JSON.stringify({ keys: [{ ...ENTRY, publish: [] }] }), /keys\[0\]\.subscribe.*allow nothing/],
  [JSON.stringify({ keys: [ENTRY, ENTRY] }), new RegExp(`${KEY.id} is there twice`)],
  [`keys:\n${'  - &a [*a]\n'}`, /ACCESS_FILE: /],
];

t.test('nothing of a file that was named by mistake is repeated', (t) => {
  for (const text of ['postgres://tidings:hunter2@db/x: [unclosed', 'PASSWORD=hunter2\nOTHER: [', '{"hunter2-and-more": 1}', 'keys:\n  - {"id": "hunter2", "hunter2 hunter2": 1}']) {
    t.throws(() => read(file(t, text)), /ACCESS_FILE: /, text);
    try {
      read(file(t, text));
    } catch (error) {
      t.notMatch(String(error), /hunter2/, text);
    }
  }
  t.end();
});

t.test('a file that is wrong keeps the process from booting, with a line that says where', (t) => {
  for (const [text, why] of WRONG) {
    try {
      read(file(t, text));
      t.fail(text);
    } catch (error) {
      t.ok(error instanceof ConfigError && error.lines.length === 1 && error.lines[0]!.startsWith('ACCESS_FILE: ') && why.test(error.lines[0]!), `${text}: ${String(error)}`);
      t.notOk(String(error).includes(KEY.text), 'no key is repeated');
      t.notMatch(String(error), /(\S+): \1 is/, 'the place is named once');
    }
  }
  t.throws(() => read({ ACCESS_FILE: '/nowhere/at/all' }), /^ACCESS_FILE: the file \/nowhere\/at\/all cannot be read \(ENOENT\); name a file/);
  t.throws(() => read({ ACCESS_FILE: t.testdir() }), /^ACCESS_FILE: the file cannot be read \(EISDIR\); name a file/);
  t.throws(() => read({ PUBLIC_TOPICS: 'news.>, a..b' }), /^PUBLIC_TOPICS\[1\]: The topic is not valid: it has an empty segment/);
  t.throws(() => read({ PUBLIC_PUBLISH: 'a.>.b' }), /PUBLIC_PUBLISH\[0\].*last segment/);
  t.end();
});
