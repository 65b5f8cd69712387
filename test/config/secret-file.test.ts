import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConfigError, readConfig } from '../../src/config/config.ts';
import { Child } from '../support/child.ts';
import { tempFolder } from '../support/temp.ts';

/** Secrets that come in files of their own: those of Docker, and the credentials of systemd. */

const SECRET = 'hunter2';
const DATABASE = `postgres://u:${SECRET}@db/log`;
const REDIS = `redis://:${SECRET}@redis:6379`;
/** Root reads every file. */
const READS_ALL = process.getuid?.() === 0;

/** The lines of the refusal; none if the settings are accepted. */
function lines(environment: Record<string, string>, dotenv: string | false = false): readonly string[] {
  try {
    readConfig(environment, { dotenv });
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

t.test('a file holds the value, from every editor', (t) => {
  const folder = tempFolder(t);
  const file = join(folder, 'database-url');
  for (const [editor, content] of Object.entries({
    'printf': DATABASE,
    'echo': `${DATABASE}\n`,
    'Windows': `${DATABASE}\r\n`,
    'Notepad, with a byte order mark': `\ufeff${DATABASE}`,
    'PowerShell, in UTF-16': Buffer.from(`\ufeff${DATABASE}\r\n`, 'utf16le'),
    'blanks and empty lines': `\n  ${DATABASE} \n\n`,
  })) {
    writeFileSync(file, content);
    t.match(readConfig({ DATABASE_URL_FILE: file }, { dotenv: false }).DATABASE_URL, { kind: 'postgres', url: DATABASE }, editor);
  }
  writeFileSync(join(folder, 'redis-url'), `${REDIS}\n`);
  // Kubernetes' secrets are links.
  symlinkSync('redis-url', join(folder, 'link'));
  t.equal(readConfig({ REDIS_URL_FILE: ` ${join(folder, 'link')} ` }, { dotenv: false }).REDIS_URL, REDIS);
  t.end();
});

t.test('an empty variable counts as unset, and .env may name the file', (t) => {
  const folder = tempFolder(t);
  const [file, dotenv] = [join(folder, 'database-url'), join(folder, '.env')];
  writeFileSync(file, DATABASE);
  t.match(readConfig({ DATABASE_URL: '', DATABASE_URL_FILE: file }, { dotenv: false }).DATABASE_URL, { url: DATABASE });
  t.match(readConfig({ DATABASE_URL: 'file:x', DATABASE_URL_FILE: '' }, { dotenv: false }).DATABASE_URL, { file: 'x' });
  writeFileSync(dotenv, `DATABASE_URL_FILE=${file}\n`);
  t.match(readConfig({}, { dotenv }).DATABASE_URL, { url: DATABASE });
  t.same(lines({ DATABASE_URL: 'file:x' }, dotenv), ['DATABASE_URL_FILE: DATABASE_URL is set, too; set only one of the two']);
  t.end();
});

t.test('a bad file refuses the settings in one line, without the secret and without the path', (t) => {
  const folder = tempFolder(t);
  const file = join(folder, SECRET);
  const contents: readonly (readonly [content: string | Buffer, line: RegExp])[] = [
    ['', /the file is empty$/],
    [' \r\n\t\n', /the file is empty$/],
    ['\ufeff', /the file is empty$/],
    [`DATABASE_URL=${DATABASE}\n`, /must hold the value alone, without DATABASE_URL= before it$/],
    [`# ${SECRET}\n${DATABASE}\n`, /must hold the value alone, in one line$/],
    [`${DATABASE}\n${DATABASE}\n`, /in one line$/],
    [`postgres://u:${SECRET}\r@db/log`, /in one line$/],
    [`"${DATABASE}"`, /the value given \(not shown, it may hold a password\) is not allowed; it must be file:/],
    [`postgres://u:${SECRET}/x@db/log`, /that is no URL of PostgreSQL/],
    [SECRET, /the value given \(not shown/],
    [Buffer.from(DATABASE, 'utf16le'), /not text; save it as UTF-8$/],
    [Buffer.concat([Buffer.from(DATABASE), Buffer.of(0xe4)]), /not text/],
    [SECRET.repeat(10_000), /the file is larger than 65536 bytes$/],
  ];
  const refused: string[] = [];
  const refuses = (environment: Record<string, string>, line: RegExp): void => {
    const said = lines(environment);
    t.match(said, [new RegExp(`^(?:DATABASE|REDIS)_URL_FILE: .*${line.source}`)]);
    t.equal(said.length, 1);
    refused.push(...said);
  };
  for (const [content, line] of contents) {
    writeFileSync(file, content);
    refuses({ DATABASE_URL_FILE: file }, line);
  }
  writeFileSync(file, `http://:${SECRET}@redis`);
  refuses({ REDIS_URL_FILE: file }, /that is no URL of Redis/);
  chmodSync(file, 0);
  if (!READS_ALL) refuses({ REDIS_URL_FILE: file }, /the file cannot be read \(EACCES\)/);
  mkdirSync(join(folder, 'folder'));
  refuses({ DATABASE_URL_FILE: join(folder, 'folder') }, /the file cannot be read \(EISDIR\)/);
  refuses({ DATABASE_URL_FILE: join(folder, 'folder', SECRET) }, /the file cannot be read \(ENOENT\)/);
  // In the place of the path, the secret itself.
  refuses({ DATABASE_URL_FILE: DATABASE }, /the file cannot be read \(ENOENT\); it must be the path of a file that holds the value$/);
  refuses({ REDIS_URL_FILE: `${REDIS}\0` }, /the file cannot be read/);
  refuses({ DATABASE_URL_FILE: file, DATABASE_URL: DATABASE }, /DATABASE_URL is set, too; set only one of the two$/);
  t.notOk(refused.some((line) => line.includes(SECRET)), refused.join('\n'));
  t.end();
});

t.test('only settings that may hold a password are read from files', (t) => {
  t.equal(readConfig({ PORT: '1', PORT_FILE: '/nowhere' }, { dotenv: false }).PORT, 1);
  t.end();
});

t.test('the service starts on what the file says, and stops where it is bad', async (t) => {
  const folder = tempFolder(t);
  const file = join(folder, 'database-url');
  writeFileSync(file, 'file:other/log.db\n');
  const env = { PATH: process.env['PATH'], PORT: '0', DRAIN_SECONDS: '0', DATABASE_URL_FILE: file };
  const start = (): Child => new Child(t, process.execPath, [join(import.meta.dirname, '../../src/serve.js')], { cwd: folder, env });
  const service = start();
  await service.says('other/log.db');
  service.kill('SIGTERM');
  t.same(await service.exited, { code: 0, signal: null });
  writeFileSync(file, '');
  const refused = start();
  t.same(await refused.exited, { code: 1, signal: null });
  t.equal(refused.output, 'DATABASE_URL_FILE: the file is empty\n');
});
