import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import { Child } from '../support/child.ts';
import { startInstance } from '../support/instance.ts';
import { tempFolder } from '../support/temp.ts';

/** What a process says to who runs it: on a terminal, and elsewhere. */

const MAIN = join(import.meta.dirname, '../../src/main.ts');
/** Runs its arguments on a terminal of their own, and passes on what they print there. */
const TERMINAL = ['-c', 'import pty, sys; sys.exit(0 if pty.spawn(sys.argv[1:]) == 0 else 1)'];

interface Line {
  readonly level: string;
  readonly msg: string;
  readonly database?: string;
  readonly err?: { readonly message: string; readonly stack?: string };
}

function logLines(output: string): readonly Line[] {
  return output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Line);
}

t.test('elsewhere than on a terminal each line is JSON, and one says where the messages are', async (t) => {
  const folder = tempFolder(t);
  const file = join(folder, 'messages.db');
  const instance = await startInstance(t, { DATABASE_URL: `file:${file}`, DRAIN_SECONDS: '0' });
  t.match(logLines(instance.output).find(({ msg }) => msg === 'the log is open'), { level: 'info', database: file });

  await t.test('a port in use is one line that says what to do', async (t) => {
    const second = new Child(t, process.execPath, [MAIN], { cwd: folder, env: { PATH: process.env['PATH'], PORT: String(instance.port), DATABASE_URL: `file:${file}` } });
    t.strictSame(await second.exited, { code: 1, signal: null });
    t.match(second.output.split('\n').filter((line) => line !== '' && !line.startsWith('{')), [new RegExp(`^PORT: ${instance.port} is in use; stop the other process or set PORT \\(.*EADDRINUSE`)]);
    const third = new Child(t, process.execPath, [MAIN], { cwd: folder, env: { PATH: process.env['PATH'], PORT: '0', OPS_PORT: String(instance.port), DATABASE_URL: `file:${file}` } });
    t.strictSame(await third.exited, { code: 1, signal: null });
    t.match(third.output.split('\n').filter((line) => line !== '' && !line.startsWith('{')), [new RegExp(`^OPS_PORT: ${instance.port} is in use; stop the other process or set OPS_PORT \\(.*EADDRINUSE`)]);
  });
});

t.test('a database that cannot be opened is one line without a stack', async (t) => {
  const folder = tempFolder(t);
  writeFileSync(join(folder, 'file'), '');
  const file = join(folder, 'file/messages.db');
  const instance = await startInstance(t, { DATABASE_URL: `file:${file}`, DRAIN_SECONDS: '0' }, { ready: ({ output }) => output.includes('cannot be opened') });
  t.match(logLines(instance.output).find(({ level }) => level === 'error'), { msg: 'the log cannot be opened', database: file, err: { type: 'StoreError', message: /^the database file needs a folder that cannot be made: EEXIST/ } });
  t.notMatch(instance.output, /\n +at |"stack"/);
});

t.test('on a terminal lines are for people', async (t) => {
  const folder = tempFolder(t);
  mkdirSync(join(folder, 'data'));
  const child = new Child(t, 'python3', [...TERMINAL, process.execPath, MAIN], { cwd: folder, env: { PATH: process.env['PATH'], HOME: process.env['HOME'], PORT: '0', DRAIN_SECONDS: '0', TERM: 'xterm' } });
  await child.says('Tidings listens on');
  const said = stripVTControlCharacters(child.output);
  t.match(said, new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d{3} INFO {2}the log is open database=${folder}/data/tidings\\.db oldest=1 head=0 instance=[a-z0-9]{10}\\r?$`, 'm'));
  t.same(said.split('\n').filter((line) => line.startsWith('{')), []);
});
