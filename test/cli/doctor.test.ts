import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Diagnosis } from '../../src/cli/doctor/diagnosis.ts';
import { Child } from '../support/child.ts';
import { startInstance } from '../support/instance.ts';
import { createKey } from '../support/keys-command.ts';
import { listening } from '../support/listening.ts';
import { freePort } from '../support/ports.ts';
import { tempFolder } from '../support/temp.ts';

/** `npx tidings doctor`, as a process. Real proxies are in doctor-proxies.test.ts, its verdicts in doctor-verdicts.test.ts. */

const TIDINGS = join(import.meta.dirname, '../../src/tidings.js');
const KEY = `tdg_abcdefghijkl_${'0123456789abcdef'.repeat(4)}`;
/** What nothing answers is waited for so long. */
const QUICK = ['--idle', '0', '--timeout', '1'];

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

async function doctor(t: Test, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const child = new Child(t, process.execPath, [TIDINGS, 'doctor', ...args], { cwd: tempFolder(t), env: { PATH: process.env['PATH'], ...env } });
  const { code } = await child.exited;
  return { code, output: child.output };
}

/** Something that is no service. */
async function other(t: Test, answers: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    answers(request, response);
  });
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${await listening(server)}`;
}

const WRONG: readonly (readonly [args: readonly string[], said: RegExp, env?: Readonly<Record<string, string>>])[] = [
  [[], /give the URL that clients use, or set TIDINGS_URL/],
  [[], /TIDINGS_URL is not valid.*https:\/\/tidings\.example\.com/, { TIDINGS_URL: 'tidings.example.com' }],
  [['ftp://tidings.example.com'], /Write it as https/],
  [['https://me:secret@tidings.example.com'], /with --token/],
  [['https://tidings.example.com/?a=1'], /a query or a fragment/],
  [['http://127.0.0.1', '--idle', 'long'], /seconds, from 0 to 600/],
  [['http://127.0.0.1', '--timeout', '0'], /seconds, from 0\.1 to 120/],
  [['http://127.0.0.1', '--origin', 'https://app.example/page'], /without a path/],
  [['http://127.0.0.1', '--topic', 'a.*'], /a wildcard/],
  [['http://127.0.0.1', '--token', 'two words'], /visible ASCII/],
  [['http://127.0.0.1', '--tokens', 'x'], /unknown option '--tokens'/],
];

t.test('what is asked wrongly ends with 2 and the reason', async (t) => {
  await Promise.all(WRONG.map(async ([args, said, env]) => t.match(await doctor(t, args, env), { code: 2, output: said }, args.join(' '))));
});

t.test('a good service: 0, one screen, and by JSON the same; where a credential is needed and none is given, 1', async (t) => {
  const database = `file:${join(tempFolder(t), 'tidings.db')}`;
  const { url } = await startInstance(t, { DATABASE_URL: database, AUTH: 'on', HEARTBEAT_SECONDS: '1' });
  const { key } = await createKey(t, { DATABASE_URL: database }, '--name', 'doctor', '--publish', 'here', '--subscribe', 'here');
  const env = { TIDINGS_URL: url, TIDINGS_TOKEN: key };
  const [shown, json, without, elsewhere] = await Promise.all([
    doctor(t, ['--topic', 'here', '--idle', '2.5s'], env), doctor(t, ['--topic', 'here', '--json', '--idle', '2.5'], env), doctor(t, [url, ...QUICK]), doctor(t, [...QUICK], env),
  ]);
  t.equal(shown.code, 0, shown.output);
  t.match(shown.output, /^✓ buffering .*$\n^✓ compression /m);
  t.match(shown.output, /\n0 wrong, 0 to look at, /);
  t.ok(shown.output.split('\n').length <= 24, 'one screen');
  t.notMatch(shown.output, '\u001b', 'colours are for terminals');
  t.equal(json.code, 0, json.output);
  const { findings } = JSON.parse(json.output) as Diagnosis;
  t.equal(findings.find(({ check }) => check === 'idle')?.level, 'good');
  t.match(without, { code: 1, output: /✗ stream .*give a credential with --token/ });
  t.match(elsewhere, { code: 1, output: /! authorization .*with --topic/ });
  for (const { output } of [shown, json, elsewhere]) t.notMatch(output, key);
});

t.test('nobody listens: 1, in one line', async (t) => {
  const { code, output } = await doctor(t, [`http://127.0.0.1:${await freePort()}`, '--json', ...QUICK]);
  t.equal(code, 1);
  t.match(JSON.parse(output), { findings: [{ check: 'reach', level: 'wrong', finding: /cannot be reached.*ECONNREFUSED/ }] });
});

t.test('a page that shows the request back: neither its control characters nor the token are shown', async (t) => {
  const url = await other(t, ({ headers }, response) => response.writeHead(503, { 'content-type': `text/\u009bhtml ${'x'.repeat(100)} ${headers.authorization ?? ''}` }).end(JSON.stringify(headers)));
  const { code, output } = await doctor(t, [url, ...QUICK], { TIDINGS_TOKEN: KEY });
  t.equal(code, 1);
  t.match(output, /something on the way answers a stream with 503 text\/\\u009bhtml x+ Bearer <token>/);
  t.notMatch(output, KEY.slice(0, 20));
  t.notMatch(output.replaceAll('\n', ''), /\p{Cc}/u);
});

t.test('answers that never end, and none at all: each is waited for no longer than --timeout, and memory stays bounded', async (t) => {
  const endless = await other(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(64 * 1024)));
    };
    response.on('drain', more);
    more();
  });
  const silent = await other(t, () => undefined);
  const [one, two] = await Promise.all([doctor(t, [endless, ...QUICK]), doctor(t, [silent, ...QUICK])]);
  t.match(one, { code: 1, output: /✗ buffering / });
  t.match(two, { code: 1, output: /cannot be reached: nothing came within 1\.0 s/ });
});
