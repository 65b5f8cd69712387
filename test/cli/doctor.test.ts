import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { Command, CommanderError } from 'commander';
import t, { type Test } from 'tap';
import { addDoctorCommand } from '../../src/cli/doctor/command.ts';
import type { Diagnosis } from '../../src/cli/doctor/diagnosis.ts';
import { CommandError } from '../../src/cli/outcome.ts';
import { Child } from '../support/child.ts';
import { COMMAND_ENV } from '../support/compile-cache.ts';
import { startInstance } from '../support/instance.ts';
import { createKey } from '../support/keys-command.ts';
import { listening } from '../support/listening.ts';
import { freePort } from '../support/ports.ts';
import { tempFolder } from '../support/temp.ts';

/** `npx tidings doctor`, as a process. Real proxies are in doctor-proxies.test.ts, its verdicts in doctor-verdicts.test.ts. */

const TIDINGS = join(import.meta.dirname, '../../src/tidings.js');
const KEY = `tdg_abcdefghijkl_${'0123456789abcdef'.repeat(4)}`;
/** Where something answers, however slow the machine is. */
const PATIENT = ['--idle', '0', '--timeout', '60'];
/** Where nothing does, which is waited for so long. */
const QUICK = ['--idle', '0', '--timeout', '1'];

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

async function doctor(t: Test, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const child = new Child(t, process.execPath, [TIDINGS, 'doctor', ...args], { cwd: tempFolder(t), env: { ...COMMAND_ENV, ...env } });
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

const WRONG: readonly (readonly [args: readonly string[], said: RegExp])[] = [
  [['ftp://tidings.example.com'], /^url: write it as https/],
  [['https://me:secret@tidings.example.com'], /with --token/],
  [['https://tidings.example.com/?a=1'], /a query or a fragment/],
  [['http://127.0.0.1', '--timeout', '0'], /from 100ms to 2m/],
  [['http://127.0.0.1', '--origin', 'https://app.example/page'], /without a path/],
  [['http://127.0.0.1', '--topic', 'a.*'], /a wildcard/],
  [['http://127.0.0.1', '--token', 'secret words'], /visible ASCII/],
  [['http://127.0.0.1', '--tokens', 'x'], /unknown option '--tokens'/],
];

t.test('wrong usage ends with 2 and the reason', async (t) => {
  const [none, invalid, unknown] = await Promise.all([doctor(t, []), doctor(t, [], { TIDINGS_URL: 'tidings.example.com' }), doctor(t, ['http://127.0.0.1', '--idle', 'long'])]);
  t.match(none, { code: 2, output: /give the URL that clients use, or set TIDINGS_URL/ });
  t.match(invalid, { code: 2, output: /^TIDINGS_URL: write it as https:\/\/tidings\.example\.com/ });
  t.match(await doctor(t, ['--help']), { code: 0, output: /--idle <duration>[^-]*\(default: 30s\)[^]*--timeout <duration>[^-]*\(default: 10s\)/ });
  t.match(unknown, { code: 2, output: /from 0s to 10m/ });
  for (const [args, said] of WRONG) {
    let output = '';
    const program = new Command().exitOverride().configureOutput({ writeErr: (text) => void (output += text) });
    addDoctorCommand(program);
    await program.parseAsync(['doctor', ...args], { from: 'user' }).catch((error: unknown) => {
      if (error instanceof CommandError) output += error.message;
      else if (!(error instanceof CommanderError)) throw error;
    });
    t.match(output, said, args.join(' '));
    t.notMatch(output, 'secret');
  }
});

t.test('a good service: 0, one screen, and by JSON the same; where a credential is needed and none is given, 1', async (t) => {
  const database = `file:${join(tempFolder(t), 'tidings.db')}`;
  const { url } = await startInstance(t, { DATABASE_URL: database, AUTH: 'on', HEARTBEAT_SECONDS: '1' });
  const { key } = await createKey(t, { DATABASE_URL: database }, '--name', 'doctor', '--publish', 'here', '--subscribe', 'here');
  const env = { TIDINGS_URL: url, TIDINGS_TOKEN: key };
  const file = join(tempFolder(t), 'token');
  writeFileSync(file, `${key}\n`, { mode: 0o600 });
  const [shown, json, without, elsewhere, fromFile, both] = await Promise.all([
    doctor(t, ['--topic', 'here', '--idle', '2.5s'], env), doctor(t, ['--topic', 'here', '--json', '--idle', '2.5'], env), doctor(t, [url, ...PATIENT]), doctor(t, [...PATIENT], env),
    doctor(t, ['--topic', 'here', url, ...PATIENT], { TIDINGS_TOKEN_FILE: file }), doctor(t, PATIENT, { ...env, TIDINGS_TOKEN_FILE: file }),
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
  t.match(fromFile, { code: 0, output: /✓ publishing / }, 'a key in a file');
  t.match(both, { code: 2, output: /^TIDINGS_TOKEN_FILE: TIDINGS_TOKEN is set, too/ });
  for (const { output } of [shown, json, elsewhere, fromFile]) t.notMatch(output, key);
});

t.test('nobody listens: 1, in one line', async (t) => {
  const { code, output } = await doctor(t, [`http://127.0.0.1:${await freePort()}`, '--json', ...PATIENT]);
  t.equal(code, 1);
  t.match(JSON.parse(output), { findings: [{ check: 'reach', level: 'wrong', finding: /cannot be reached.*ECONNREFUSED/ }] });
});

t.test('TLS: a certificate that is not believed, where nothing is sent; and one that is, without HTTP/2', async (t) => {
  const { port } = await startInstance(t, {});
  const folder = tempFolder(t);
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  let bytes = 0;
  const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (socket) => {
    const inner = connect(port, '127.0.0.1');
    socket.on('data', (part) => void (bytes += part.length));
    // A client that leaves is no fault here.
    pipeline(socket, inner, socket, () => undefined);
  });
  const url = `https://127.0.0.1:${await listening(server)}`;
  t.teardown(() => server.close());
  t.match(await doctor(t, [url, ...PATIENT], { TIDINGS_TOKEN: KEY }), { code: 1, output: /- reach .*nothing was sent.*\n✗ tls .*DEPTH_ZERO_SELF_SIGNED_CERT/ });
  t.equal(bytes, 0);
  const { code, output } = await doctor(t, [url, ...PATIENT], { NODE_EXTRA_CA_CERTS: cert });
  t.equal(code, 0, output);
  t.match(output, /✓ reach .*\n! tls .*the certificate ends in [12] days\n! http .*no HTTP\/2/);
});

t.test('a page that shows the request back: neither its control characters nor the token are shown', async (t) => {
  const url = await other(t, ({ headers }, response) => response.writeHead(503, { 'content-type': `text/\u009bhtml ${'x'.repeat(100)} ${headers.authorization ?? ''}` }).end(JSON.stringify(headers)));
  const { code, output } = await doctor(t, [url, ...PATIENT], { TIDINGS_TOKEN: KEY });
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
