import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { freePort } from '../support/ports.ts';
import { tempFolder } from '../support/temp.ts';
import { shell, typed } from '../support/tidings-command.ts';

/** The command line as a dependency of another project: Node refuses TypeScript below node_modules. */

const ROOT = join(import.meta.dirname, '../..');

/** What `npm install` of a packed tarball makes, without asking a registry: the package, and the packages that it needs beside it. */
function install(folder: string): string {
  const tarball = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  const packages = join(folder, 'node_modules');
  const own = join(packages, 'tidings');
  mkdirSync(own, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, tarball), '--strip-components=1', '-C', own]);
  for (const name of readdirSync(join(ROOT, 'node_modules'))) if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(packages, name));
  return own;
}

t.test('a packed tarball that is installed has every command, and says nothing of how', async (t) => {
  const folder = tempFolder(t);
  const own = install(folder);
  t.same(readdirSync(own).toSorted(), ['LICENSE', 'README.md', 'docs', 'migrations', 'package.json', 'src'], 'what is in it');
  const { bin } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as { readonly bin: { readonly tidings: string } };
  const port = String(await freePort());
  const options = { entry: join(own, bin.tidings), folder, env: { TIDINGS_URL: `http://127.0.0.1:${port}`, DATABASE_URL: 'file:log.db', PORT: port } };
  t.match(await typed(t, 'tidings migrate', options), { code: 0, output: /^\/\S+: there was no log: a new, empty one was made.*\n.*\n$/ });
  t.match(await typed(t, 'tidings keys declare --name x --publish a', options), { code: 0, output: /^tdg_/m });
  const service = shell(t, 'tidings serve --log error', options);
  await service.says('Tidings listens on');
  t.match(await typed(t, 'tidings publish a hello', options), { code: 0, output: /^\S+-1\n$/ }, 'the threads of the database run');
  t.match(await typed(t, 'tidings subscribe a --after start --once', options), { code: 0, output: / a hello\n$/ });
  t.equal((await fetch(`http://127.0.0.1:${port}/page/page.js`)).status, 200, 'the page is in it, as it was built');
  service.kill('SIGTERM');
  t.match(await service.exited, { code: 0 });
  t.notMatch(service.output, /Warning/);
});
