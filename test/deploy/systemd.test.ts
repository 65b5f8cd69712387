import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { SETTINGS } from '../../src/config/settings.ts';
import { tempFolder } from '../support/temp.ts';

const UNIT = readFileSync(join(import.meta.dirname, '../../deploy/tidings.service'), 'utf8');
const NODE = '/usr/bin/node';

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

const there = spawnSync('systemd-analyze', ['--version']).status === 0;

t.test('systemd finds nothing wrong with it', { skip: there ? false : 'systemd-analyze is not installed' }, (t) => {
  const file = join(tempFolder(t), 'tidings.service');
  // The Node that is here: systemd looks whether the program is there.
  writeFileSync(file, UNIT.replace(`ExecStart=${NODE} `, `ExecStart=${process.execPath} `));
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
  // It looks at units that this one refers to as well, and what is wrong with those is not ours.
  t.same({ status, said: (stdout + stderr).split('\n').filter((line) => line.includes('tidings.service')) }, { status: 0, said: [] });
  t.end();
});
