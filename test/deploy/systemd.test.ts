import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { fileVariable } from '../../src/config/secret-file.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { tempFolder, type Scope } from '../support/temp.ts';

const UNIT = readFileSync(join(import.meta.dirname, '../../deploy/tidings.service'), 'utf8');
/** As where the marked lines count. */
const WITH_CREDENTIALS = UNIT.replaceAll(/^#(?=(LoadCredential|Environment)=)/gm, '');
const NODE = '/usr/bin/node';
/** systemd's own measure, from 0 (shut in) to 10. What it still counts are the network, and that V8 compiles. */
const EXPOSURE_MAX = 2;

/** What a line of the unit says; undefined where there is none. */
function said(key: string): string | undefined {
  return UNIT.split('\n').find((line) => line.startsWith(`${key}=`))?.slice(key.length + 1);
}

t.test('the unit fits the service', (t) => {
  const environment = Object.fromEntries(said('Environment')!.split(' ').map((pair) => pair.split('=') as [string, string]));
  t.ok(Number(said('TimeoutStopSec')) >= Number(environment['DRAIN_SECONDS']) + 10, 'a drain is over before it is killed');
  t.same(Object.keys(environment).filter((name) => name !== 'NODE_ENV' && !(name in SETTINGS)), [], 'it sets nothing that is no setting');
  t.equal(environment['NODE_ENV'], 'production');
  t.equal(said('KillSignal'), 'SIGTERM');
  t.equal(said('Restart'), 'always');
  t.ok(Number(said('LimitNOFILE')) > 2 * Number(SETTINGS.MAX_STREAMS.default));
  t.equal(said('ExecStart'), `${NODE} /opt/tidings/src/serve.js`);
  t.equal(said('WorkingDirectory'), `/var/lib/${said('StateDirectory')}`, 'where it stands, it may write');
  t.equal(said('DynamicUser'), 'yes', 'it is not root');
  t.equal(said('MemoryDenyWriteExecute'), undefined, 'V8 compiles at run time');
  t.end();
});

t.test('passwords may come as credentials: each is loaded, and named to the service', (t) => {
  const loaded = [...WITH_CREDENTIALS.matchAll(/^LoadCredential=([a-z-]+):\/etc\/tidings\/\1$/gm)].map(([, name]) => name);
  t.same(loaded, ['database-url', 'redis-url']);
  for (const name of loaded) {
    const variable = name!.toUpperCase().replace('-', '_');
    t.ok(variable in SETTINGS);
    t.ok(WITH_CREDENTIALS.includes(`\nEnvironment=${fileVariable(variable)}=%d/${name}\n`), variable);
  }
  t.end();
});

const there = spawnSync('systemd-analyze', ['--version']).status === 0;

/** What `systemd-analyze` says of a unit, as far as it is about this one: it looks at units that this one refers to as well. */
function analyze(t: Scope, unit: string, ...args: readonly string[]): { readonly status: number | null; readonly said: readonly string[] } {
  const file = join(tempFolder(t), 'tidings.service');
  // The Node that is here: systemd looks whether the program is there.
  writeFileSync(file, unit.replace(`ExecStart=${NODE} `, `ExecStart=${process.execPath} `));
  const { status, stdout, stderr } = spawnSync('systemd-analyze', [...args, file], { encoding: 'utf8' });
  return { status, said: (stdout + stderr).split('\n').filter((line) => line.includes('tidings.service')) };
}

t.test('systemd finds nothing wrong with it', { skip: there ? false : 'systemd-analyze is not installed' }, (t) => {
  for (const unit of [UNIT, WITH_CREDENTIALS]) t.same(analyze(t, unit, 'verify', '--man=no'), { status: 0, said: [] });
  const [level = 'it does not say'] = analyze(t, UNIT, 'security', '--offline=true', '--no-pager').said;
  const exposure = Number(/exposure level for tidings\.service: ([0-9.]+)/.exec(level)?.[1]);
  t.ok(exposure <= EXPOSURE_MAX, level);
  t.end();
});
