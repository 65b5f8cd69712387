import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Child } from '../support/child.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { need } from '../support/programs.ts';
import { tempFolder } from '../support/temp.ts';
import { shell, typed } from '../support/tidings-command.ts';
import { until } from '../support/until.ts';

/** `tidings subscribe`: nothing is lost, whatever is killed, and what is done again is what docs/cli.md says. */

/** As src/cli/hand-out.ts has it: so many may come again. */
const AHEAD_MAX_MESSAGES = 100;

interface Scene {
  readonly instance: Instance;
  readonly http: Http;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Publishes numbers as one batch. */
  readonly publish: (topic: string, first: number, last: number) => Promise<void>;
  /** The lines of a file of the folder. */
  readonly lines: (name: string) => readonly string[];
}

async function scene(t: Test): Promise<Scene> {
  const instance = await startInstance(t, { LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  const folder = tempFolder(t);
  return {
    instance, http, folder, env: { TIDINGS_URL: instance.url },
    publish: async (topic, first, last) => {
      const body = numbers(first, last).map((data) => `{"topic":"${topic}","data":${data}}\n`).join('');
      t.equal((await http.send('POST', '/messages', { 'content-type': 'application/x-ndjson' }, body)).status, 201);
    },
    lines: (name) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1) : []),
  };
}

function numbers(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, index) => String(first + index));
}

t.test('a command that is killed goes on where it was: every message in order, and at most one again for each kill', async (t) => {
  const { publish, lines, env, folder } = await scene(t);
  await publish('jobs', 1, 20);
  const line = "tidings subscribe jobs --after start --cursor-file cursor --exec 'cat >> handled; echo >> handled'";
  for (const least of [4, 10]) {
    const child = shell(t, line, { env, folder });
    await until(`${least} are handled`, () => lines('handled').length >= least);
    child.kill('SIGKILL');
    await child.exited;
  }
  const last = shell(t, line, { env, folder });
  await until('all are handled', () => lines('handled').includes('20'));
  last.kill('SIGTERM');
  t.match(await last.exited, { code: 143 });
  const handled = lines('handled').filter((one) => one !== '');
  t.same([...new Set(handled)], numbers(1, 20), 'all, in order');
  t.ok(handled.length <= 22, `${handled.length} were handled`);
});

t.test('side by side, the file says up to where all is done, and no more than a bound are begun beyond it', async (t) => {
  const { publish, lines, env, folder } = await scene(t);
  await publish('jobs', 1, AHEAD_MAX_MESSAGES + 20);
  const line = 'tidings subscribe jobs --after start --parallel 4 --cursor-file cursor --exec \'while [ "$TIDINGS_DATA" = 1 ] && [ ! -e go ]; do sleep 0.05; done; echo "$TIDINGS_DATA" >> handled\'';
  const child = shell(t, line, { env, folder });
  await until('as many are done as may be', () => lines('handled').length >= AHEAD_MAX_MESSAGES - 1);
  t.notMatch(lines('cursor').join(), /-1$/, 'the first is not done');
  child.kill('SIGKILL');
  // Its command lives on, and holds its output open.
  await until('it is dead', () => !child.running);
  t.same([...lines('handled')].toSorted((one, other) => Number(one) - Number(other)), numbers(2, AHEAD_MAX_MESSAGES));
  writeFileSync(join(folder, 'go'), '');
  await child.exited;
  const again = shell(t, line, { env, folder });
  await until('the last is done', () => lines('cursor').join().endsWith(`-${AHEAD_MAX_MESSAGES + 20}`));
  again.kill('SIGINT');
  t.match(await again.exited, { code: 130 });
  t.same([...new Set(lines('handled'))].toSorted((one, other) => Number(one) - Number(other)), numbers(1, AHEAD_MAX_MESSAGES + 20), 'nothing is lost');
});

t.test('a service that is restarted costs nothing, and data arrives as it was published', async (t) => {
  const { instance, http, publish, lines, env, folder } = await scene(t);
  const child = shell(t, "exec tidings subscribe 'a.>' 'a.*' --json --cursor-file cursor > out", { env, folder });
  await until('it listens', () => lines('cursor').length > 0);
  await http.send('POST', '/topics/a.b', { 'content-type': 'application/json' }, '{"n":\n12345678901234567890, "s":"\\n,\\"data\\":"}');
  await until('it came', () => lines('out').length > 0);
  await instance.restart();
  await publish('a.b', 1, 3);
  await until('the others came', () => lines('out').length >= 4);
  child.kill('SIGTERM');
  t.match(await child.exited, { code: 143 });
  t.match(child.output, /^The service cannot be reached .* Trying again\.\n$|^$/, 'it says so once');
  t.ok(lines('out')[0]!.endsWith('"data":{"n": 12345678901234567890, "s":"\\n,\\"data\\":"}}'), 'each number as it was');
  t.same(lines('out').slice(1).map((line) => (JSON.parse(line) as { readonly data: number }).data), [1, 2, 3], 'once, though two patterns match');
});

t.test('it ends as scripts expect', async (t) => {
  const { publish, lines, env, folder, http } = await scene(t);
  await publish('jobs', 1, 3);
  t.match(await typed(t, 'tidings subscribe other --once --timeout 200ms', { env, folder }), { code: 3, output: 'The time is over.\n' });
  t.match(await typed(t, 'tidings subscribe jobs --last 2 --once --timeout 1m', { env, folder }), { code: 0, output: / jobs 2\n$/ });
  t.match(await typed(t, "tidings subscribe jobs --after start --cursor-file failed --exec 'echo $TIDINGS_DATA; [ $TIDINGS_DATA != 2 ]'", { env, folder }), { code: 1, output: /^1\n2\n--exec: the command ended with 1 for message \S+-2, which is not done\n$/ });
  t.match(lines('failed').join(), /-1$/, 'what failed comes again');
  t.match(await typed(t, "tidings subscribe jobs --cursor-file failed --once --keep-going --exec 'exit 7'", { env, folder }), { code: 0, output: /ended with 7/ });
  t.match(lines('failed').join(), /-2$/);
  const head = shell(t, 'set -o pipefail; tidings subscribe jobs --after start | head -1', { env, folder });
  await head.says(' jobs 1\n');
  await until('it has noticed that nobody reads', async () => {
    await http.send('POST', '/topics/jobs', {}, 'x');
    return !head.running;
  });
  t.match(await head.exited, { code: 0 });
  t.match(head.output, /^\S+ jobs 1\n$/, 'without an error');
});

t.test("strangers' control characters do not reach a terminal", async (t) => {
  const { http, env } = await scene(t);
  await http.send('POST', '/topics/a', { 'content-type': 'application/json' }, Buffer.from('"\u009b2J\u202e"'));
  await http.send('POST', `/topics/${encodeURIComponent('b\u{e0001}')}?event=${encodeURIComponent('\u001b[2J')}`, {}, '\u001b]0;title\u0007\r\nx');
  const terminal = (line: string, color: Readonly<Record<string, string>>): Child => {
    const child = shell(t, `exec '${need('python3')}' -c 'import pty,sys; sys.exit(pty.spawn(["sh", "-c", sys.argv[1]]) >> 8)' "$LINE"`, { env: { ...env, ...color, TERM: 'xterm', LINE: line } });
    return child;
  };
  const plain = terminal("tidings subscribe '>' --after start", { NO_COLOR: '1' });
  await plain.says(/x\r\n/);
  plain.kill('SIGTERM');
  await plain.exited;
  t.notMatch(plain.output.replaceAll('\r\n', '\n'), /[^\n\x20-\x7e]/);
  t.match(plain.output, / a \\u009b2J\\u202e\r\n/);
  t.match(plain.output, / b\\udb40\\udc01 \[\\u001b\[2J\] \\u001b\]0;title\\u0007\\u000d\\u000ax\r\n/);
  const json = terminal("tidings subscribe '>' --after start --once --json", {});
  await json.exited;
  t.notMatch(json.output.trimEnd(), /[^\x20-\x7e]/);
  t.equal((JSON.parse(json.output) as { readonly data: string }).data, '\u009b2J\u202e', 'it is the same JSON');
  const color = terminal("tidings subscribe '>' --after start --once", {});
  await color.exited;
  t.ok(color.output.includes('\u001b[36ma\u001b[39m'), 'in color');
  t.notMatch((await typed(t, "tidings subscribe '>' --after start --once", { env })).output, '\u001b[36m', 'but not into a pipe');
});
