import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, writeFileSync, writeSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { Child } from '../support/child.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { listening } from '../support/listening.ts';
import { freePort } from '../support/ports.ts';
import { tempFolder } from '../support/temp.ts';
import { shell, typed } from '../support/tidings-command.ts';
import { until } from '../support/until.ts';

/** `tidings publish`: a message is stored once, however often it has to be tried. And what every command says to bad input. */

interface Page {
  readonly messages: readonly { readonly data: unknown }[];
}

interface LosingProxy {
  readonly url: string;
  /** The idempotency keys of the requests so far. */
  readonly keys: readonly string[];
}

/** A proxy that carries every request out, and loses the answer to each one's first attempt. */
async function losingProxy(t: Test, target: string): Promise<LosingProxy> {
  const keys: string[] = [];
  const port = await freePort();
  const server = createServer((incoming, outgoing) => {
    const key = String(incoming.headers['idempotency-key']);
    const isKnown = keys.includes(key);
    keys.push(key);
    incoming.pipe(request(target + incoming.url!, { method: incoming.method, headers: incoming.headers, agent: false }, (answer) => {
      if (isKnown) {
        outgoing.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(outgoing);
      } else answer.resume().on('end', () => outgoing.destroy());
    }));
  });
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  return { url: `http://127.0.0.1:${port}`, keys };
}

t.test('a message stored without an answer is tried again, and stored once', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  const proxy = await losingProxy(t, instance.url);
  const env = { TIDINGS_URL: proxy.url };
  t.match(await typed(t, "printf 'a\\r\\n' | tidings publish one -", { env }), { code: 0, output: /Trying again\.\nit was published before, with the same key\n\S+-1\n$/ });
  t.match(await http.json<Page>('/topics/one/messages'), { messages: [{ data: 'a\r\n' }] });

  const folder = tempFolder(t);
  const lines = Array.from({ length: 250 }, (_, index) => `{"n":${index}, "id":12345678901234567890}`);
  writeFileSync(join(folder, 'good'), lines.join('\n'));
  writeFileSync(join(folder, 'bad'), `${lines.slice(0, 210).join('\n')}\n1},{"topic":"x","data":1\n`);
  t.match(await typed(t, 'tidings publish many --ndjson --key k < bad', { env, folder }), { code: 2, output: /line 211 of standard input is not JSON\nThe first 200 lines are stored\. The same command/ });
  // Other pieces of the same input make the same requests.
  const again = shell(t, '(head -n 150 good; until [ -e go ]; do sleep 0.05; done; tail -n +151 good) | tidings publish many --ndjson --key k --json', { env, folder });
  await until('it has sent what is whole of the first piece', () => proxy.keys.filter((key) => key === 'k-1').length === 3);
  writeFileSync(join(folder, 'go'), '');
  t.match(await again.exited, { code: 0 });
  t.match(again.output, /\{"messages":250,"last":"\S+-251"\}\n$/);
  const { body } = await http.get('/topics/many/messages?limit=1000');
  t.same((JSON.parse(body) as Page).messages.map(({ data }) => (data as { readonly n: number }).n), lines.map((_, index) => index), 'each once, in order');
  t.equal(body.split('"id":12345678901234567890').length, 251, 'as it was written');
});

t.test('without a key a line goes out when it comes', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  const folder = tempFolder(t);
  const child = shell(t, '(echo 1; until [ -e go ]; do sleep 0.05; done; printf 2) | tidings publish live --ndjson', { env: { TIDINGS_URL: instance.url }, folder });
  await until('the first is published', async () => (await http.json<Page>('/topics/live/messages')).messages.length === 1);
  writeFileSync(join(folder, 'go'), '');
  t.match(await child.exited, { code: 0 });
  t.equal(child.output, '2 messages published\n');
});

t.test('a stopped command says which messages are stored, and which may be', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  const folder = tempFolder(t);
  const env = { TIDINGS_URL: instance.url };
  const stopped = async (line: string, isReady: (child: Child) => Promise<unknown>, signal: NodeJS.Signals): Promise<{ readonly code: number | null; readonly output: string }> => {
    const child = shell(t, line, { env, folder });
    await isReady(child);
    child.kill(signal);
    const { code } = await child.exited;
    return { code, output: child.output };
  };
  execFileSync('mkfifo', [join(folder, 'lines')]);
  const lines = openSync(join(folder, 'lines'), 'r+');
  t.teardown(() => closeSync(lines));
  writeSync(lines, '1\n2\n3\n');
  const isStored = (): Promise<void> => until('three are stored', async () => (await http.json<Page>('/topics/halted/messages')).messages.length === 3);
  t.match(await stopped('exec tidings publish halted --ndjson < lines', async () => {
    await isStored();
    // The next request goes only once the answer to the one before has come.
    writeSync(lines, '4\n');
    await until('the fourth is stored', async () => (await http.json<Page>('/topics/halted/messages')).messages.length === 4);
  }, 'SIGINT'), { code: 130, output: /^The first (3 lines are stored\. Lines 4 to 4 were on their way, and may be stored, too\.|4 lines are stored\. Begin after it next time\.)\n$/ });

  instance.kill('SIGKILL');
  await instance.exited;
  const away = (child: Child): Promise<void> => child.says('Trying again.');
  t.match(await stopped("printf '1\\n2\\n' > two; exec tidings publish halted --ndjson --key k < two", away, 'SIGTERM'),
    { code: 143, output: /Trying again\.\nNo line is known to be stored\. Lines 1 to 2 were on their way, and may be stored, too\. The same command with the same input and --key goes on there\.\n$/ });
  t.match(await stopped('exec tidings publish halted x --key k', away, 'SIGINT'), { code: 130, output: /Trying again\.\nWhether it was stored is unknown: repeat the command with --key k, which stores it once\.\n$/ });
});

t.test('it waits for a service that is away, and gives up in time', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'error' });
  const env = { TIDINGS_URL: instance.url };
  instance.kill('SIGKILL');
  await instance.exited;
  t.match(await typed(t, 'tidings publish a x --timeout 100ms --key mine', { env }), { code: 3, output: /repeat the command with --key mine, which stores it once/ });
  const child = shell(t, 'tidings publish a x --report', { env });
  await child.says('Trying again.');
  await instance.restart();
  t.match(await child.exited, { code: 0 });
  t.match(child.output, /^\{"id":"[^"]+","topic":"a".*\}$/m, 'the whole answer');
  t.equal((await new Http(t, instance.url).json<Page>('/topics/a/messages')).messages.length, 1);
});

/** What is wrong, with the exit code and what is said. The service at `TIDINGS_URL` has keys, and none is given. */
const WRONG: readonly (readonly [line: string, code: number, said: RegExp])[] = [
  ['tidings publsh a b', 2, /unknown command 'publsh'[^]*publish/],
  ['tidings publish a x --ttl soon', 2, /^error: .* is invalid\. .*\n\n?--help says how to write it\.\n$/],
  ['tidings publish', 2, /missing required argument 'topic'/],
  ['tidings publish a x --ttl 0', 2, /--ttl <duration>' argument '0' is invalid\. Write it in whole seconds/],
  ["tidings publish a x --key 'a b'", 2, /Use 1 to 200 printable ASCII/],
  ['TIDINGS_TOKEN=hidden€ tidings publish a x', 2, /^TIDINGS_TOKEN: it has characters/],
  ['tidings publish a x --type yaml', 2, /Allowed choices are text, json/],
  ['tidings publish a "{" --type json', 2, /^data: it is not JSON/],
  ["printf '\\377' | tidings publish a", 2, /^data: standard input is not UTF-8/],
  ["printf '\\377\\n' | tidings publish a --ndjson", 2, /^standard input is not UTF-8/],
  ['tidings publish a x --ndjson', 2, /^--ndjson reads standard input/],
  ['tidings publish a x --url ftp://x', 2, /^--url: Write a URL/],
  ['tidings publish a x --url http://me:hidden@x/', 2, /^--url: The URL has a password\. Put the key into TIDINGS_TOKEN\.\n$/],
  ['TIDINGS_URL=x tidings topics', 2, /^TIDINGS_URL: Write a URL/],
  ['TIDINGS_TOKEN=x TIDINGS_TOKEN_FILE=y tidings topics', 2, /^TIDINGS_TOKEN_FILE: TIDINGS_TOKEN is set, too/],
  ['TIDINGS_TOKEN_FILE=/hidden tidings topics', 2, /^TIDINGS_TOKEN_FILE: the file cannot be read \(ENOENT\)/],
  ['tidings subscribe a --since 1m --last 1', 2, /each say where to begin/],
  ['tidings subscribe a --last 1001', 2, /whole number from 0 to 1000/],
  ['tidings subscribe a --parallel 2', 2, /^--parallel is for --exec/],
  ["tidings subscribe a --exec ' '", 2, /^--exec: the command is empty/],
  ['tidings subscribe a --timeout soon', 2, /Write it as 500ms/],
  ['echo x > c; tidings subscribe a --cursor-file c', 2, /^--cursor-file: c has no cursor in it/],
  ['tidings subscribe a --cursor-file .', 2, /^--cursor-file: \. cannot be read \(EISDIR\)/],
  ['tidings streams close a-1 --retry 1500ms', 2, /whole seconds, up to 1d, or never/],
  ['tidings completion csh', 2, /Allowed choices are bash, zsh, fish/],
  ['tidings publish a x', 4, /^A credential is needed|TIDINGS_TOKEN/],
  ['TIDINGS_TOKEN=tdg_wrong tidings subscribe a', 4, /Set TIDINGS_TOKEN to a key or token/],
  ['tidings topics --url http://127.0.0.1:1/', 1, /^The service cannot be reached/],
];

t.test('each mistake ends with a code that scripts know and one clear reason', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'error', AUTH: 'on' });
  const run = async ([line, code, said]: typeof WRONG[number]): Promise<void> => {
    const ran = await typed(t, line, { env: { TIDINGS_URL: instance.url } });
    t.match(ran, { code, output: said }, line);
    t.notMatch(ran.output, /hidden|\n {4}at /, 'without a secret or a stack');
  };
  // Two at a time: most of it is the start of Node.
  for (let index = 0; index < WRONG.length; index += 2) await Promise.all(WRONG.slice(index, index + 2).map(run));
});

t.test('an answer that breaks off is asked for again, and one that is not from the service is called so', async (t) => {
  let requests = 0;
  const server = createServer((incoming, outgoing) => {
    incoming.resume();
    if (incoming.url!.startsWith('/page/')) return void outgoing.end(incoming.url!.includes('/events') ? 'data: <h1>Hello</h1>\n\n' : '<h1>Hello</h1>');
    requests++;
    outgoing.writeHead(201, { 'content-length': 10 }).write('{"id":');
    if (requests === 1) outgoing.write('"a"', () => outgoing.destroy());
    else outgoing.end('"b"}');
  });
  t.teardown(() => server.close());
  const port = await listening(server);
  t.match(await typed(t, 'tidings publish a x', { env: { TIDINGS_URL: `http://127.0.0.1:${port}` } }), { code: 0, output: /^The service cannot be reached .* Trying again\.\nb\n$/ });
  for (const line of ['publish a x', 'publish a 1 --type json --report', 'topics', 'instances', 'subscribe a']) {
    t.match(await typed(t, `tidings ${line}`, { env: { TIDINGS_URL: `http://127.0.0.1:${port}/page` } }), { code: 1, output: /^The answer is not from a Tidings service\. TIDINGS_URL or --url says where it is\.\n$/ }, line);
  }
});

t.test('output that cannot be written ends a command with the reason', { skip: existsSync('/dev/full') ? false : 'this system has no /dev/full' }, async (t) => {
  const { url } = await startInstance(t, { LOG_LEVEL: 'error' });
  t.match(await typed(t, 'tidings publish a x > /dev/full', { env: { TIDINGS_URL: url } }), { code: 1, output: /^standard output cannot be written \(ENOSPC\)\n$/ });
});
