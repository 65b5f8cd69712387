/**
 * Finds the programs that the tests start, installs with apt-get what is missing where it may, or says what to run.
 * Nothing is skipped when one is missing: the tests do not start then. The exception is Kafka, for which Java and Maven have to be there: its tests say that they are left out. Where all are there, the service is started once for what Node compiles of it.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fetchKafka } from './kafka-jars.ts';
import { find, PROGRAMS, type Program, type ProgramName } from './programs.ts';
import { warmUp } from './warm-up.ts';

const INSTALL = join(import.meta.dirname, 'install-debian.sh');

const names = Object.keys(PROGRAMS) as ProgramName[];

function missing(): ProgramName[] {
  return names.filter((name) => find(name) === undefined);
}

function onPath(file: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, file), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** How to become root here without being asked for a password; undefined when there is no way. */
function asRoot(): string[] | undefined {
  if (process.getuid?.() === 0) return [];
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : undefined;
}

/** Whether it could be tried. */
function install(reason: string, packages: readonly string[]): boolean {
  const root = onPath('apt-get') ? asRoot() : undefined;
  if (root === undefined) return false;
  process.stderr.write(`${reason}: installing with apt-get.\n`);
  const [command, ...rest] = [...root, 'sh', INSTALL, ...packages] as [string, ...string[]];
  spawnSync(command, rest, { stdio: ['ignore', 2, 2] });
  return true;
}

const wanted = missing();
if (wanted.length > 0) {
  const tried = install(`The tests need ${wanted.join(', ')}`, wanted.flatMap((name) => PROGRAMS[name].debian.split(' ')));
  const still = tried ? missing() : wanted;
  if (still.length > 0) {
    process.stderr.write(`The tests need ${still.join(', ')}, not found here. Either name them (${still.map((name) => `${PROGRAMS[name].variable}=…`).join(' ')}), or run:\n`);
    const line = onPath('apt-get')
      ? `sudo apt-get update && sudo apt-get install --no-install-recommends ${still.map((name) => PROGRAMS[name].debian).join(' ')}`
      : still.map((name) => PROGRAMS[name].otherwise).join(' && ');
    process.stderr.write(`  ${line}\n`);
    process.exitCode = 1;
  }
}

if (process.exitCode === undefined) {
  // Only beside a browser that was installed above: a newer version of the browser itself may come with it.
  const lighter = wanted.flatMap((name) => (PROGRAMS[name] as Program).lighter ?? []);
  if (lighter.length > 0) install(`The tests take less time with ${lighter.join(', ')}`, lighter);
  const why = fetchKafka();
  if (why !== undefined) process.stderr.write(`${why}.\n`);
  await warmUp();
}
