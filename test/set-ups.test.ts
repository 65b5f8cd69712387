import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Child } from './support/child.ts';
import { freePort } from './support/ports.ts';
import { copyProgram } from './support/program-copy.ts';
import { startRedis } from './support/redis.ts';
import { until } from './support/until.ts';

/** The set-ups of docs/access.md and the pages beside it, as somebody pastes them: each block in a bash of its own, in the project's folder. Only ports are others. */

const text = ['access', 'access-users', 'access-jwks'].map((name) => readFileSync(join(import.meta.dirname, `../docs/${name}.md`), 'utf8')).join('\n');

/** What curl and shells say of what they do not understand. */
const COMPLAINTS = /not found|syntax error|unexpected|curl: |Error|"status":5/;

/** The blocks of commands below a heading, before the next one. */
function blocksOf(heading: string): readonly string[] {
  const section = text.split(/^## /m).find((one) => one.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`the pages about access have no section ${JSON.stringify(heading)}`);
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block!);
}

/** The project's folder of somebody who tries a set-up. */
class Desk {
  readonly #t: Test;
  readonly #folder: string;
  readonly #ports: ReadonlyMap<string, number>;

  /** @param ports What stands in place of each port of the document. */
  constructor(t: Test, ports: ReadonlyMap<string, number>) {
    this.#t = t;
    this.#folder = copyProgram(t);
    this.#ports = ports;
  }

  /** Runs a block. What it has started in the background ends with it. */
  paste(block: string): Child {
    const ported = block.replaceAll(/(127\.0\.0\.1:|PORT=|listen\()(\d+)/g, (_all, before: string, port: string) => `${before}${this.#ports.get(port) ?? port}`);
    // The document's first port is the one that is taken where no setting says another.
    const env = { PATH: process.env['PATH'], HOME: this.#folder, PORT: String(this.#ports.get('8080') ?? '') };
    const child = new Child(this.#t, 'bash', ['-c', ported], { cwd: this.#folder, env, detached: true });
    this.#t.teardown(() => {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        // All of its group have ended.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    });
    return child;
  }

  /** Runs a block to its end. */
  async run(block: string): Promise<string> {
    const child = this.paste(block);
    await child.exited;
    this.#t.notMatch(child.output, COMPLAINTS);
    return child.output;
  }
}

async function desk(t: Test, ...ports: readonly string[]): Promise<Desk> {
  return new Desk(t, new Map(await Promise.all(ports.map(async (port) => [port, await freePort()] as const))));
}

// They wait more than they work.
t.jobs = 2;

t.test('one key for a script', { buffered: true }, async (t) => {
  const [start, use, ...others] = blocksOf('One key for a script');
  t.same(others, []);
  const here = await desk(t, '8080');
  await here.paste(start!).says('Tidings listens on');
  const listening = here.paste(use!);
  await listening.says('data: version 42 is live');
  t.ok(listening.running, 'it goes on');
  t.match(listening.output, /"topic":"deploys\.api"/);
  t.notMatch(listening.output, COMPLAINTS);
});

t.test('users of a web application', { buffered: true }, async (t) => {
  const [start, use, ...others] = blocksOf('Users of a web application');
  t.same(others, []);
  const here = await desk(t, '8080');
  await here.paste(start!).says('Tidings listens on');
  const said = await here.run(use!);
  t.match(said, /"topic":"user\.alice\.inbox"/, 'the application has published');
  t.equal(said.split('data: hello, alice\n').length, 2, 'alice has her message');
  t.match(said, /"status":403,"code":"forbidden","detail":"This request may not read user\.bob\.inbox: that takes the grant subscribe\."/);
});

t.test('a public dashboard', { buffered: true }, async (t) => {
  const [start, use, ...others] = blocksOf('A public dashboard');
  t.same(others, []);
  const here = await desk(t, '8080');
  await here.paste(start!).says('Tidings listens on');
  const said = await here.run(use!);
  t.equal(said.split('data: all is well\n').length, 2, 'everybody reads it');
  t.match(said, /"status":401,"code":"unauthorized"/);
  t.notMatch(said, 'data: from a stranger');
});

t.test('a fleet with an identity provider', { buffered: true }, async (t) => {
  const [provider, start, use, ...others] = blocksOf('A fleet with an identity provider (JWKS)');
  t.same(others, []);
  const redis = await startRedis(t);
  const ports = new Map([['8081', await freePort()], ['8082', await freePort()], ['9000', await freePort()], ['6379', redis.port]]);
  const here = new Desk(t, ports);
  here.paste(provider!);
  await until('the provider answers', () => fetch(`http://127.0.0.1:${ports.get('9000')}/jwks.json`).then(({ ok }) => ok, () => false));
  const instances = here.paste(start!);
  await instances.says(/(Tidings listens on[\s\S]*){2}/);
  const said = await here.run(use!);
  t.equal(said.split('data: hello, alice\n').length, 2, 'what was published on one instance is read on the other');
});
