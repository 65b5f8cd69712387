import type { Command } from 'commander';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeProgram } from '../../src/cli/tidings.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { createKey } from '../support/keys-command.ts';
import { freePort } from '../support/ports.ts';
import { tempFolder } from '../support/temp.ts';
import { shell, typed } from '../support/tidings-command.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

/** The examples that `--help` shows do what they say, at a service with keys. */

interface Example {
  readonly line: string;
  readonly says: RegExp;
  /** What has to be there before, and what stands in the place of an id of the example. */
  readonly before?: () => Promise<{ readonly from: string; readonly to: string } | void>;
  readonly code?: number;
}

/** Their own tests run their examples. */
const TRIED_ELSEWHERE = ['backup', 'copy'];

/** All commands that do something, with their examples. */
function examplesOf(command: Command, path: readonly string[] = []): readonly { readonly path: string; readonly lines: readonly string[] }[] {
  let help = '';
  command.configureOutput({ writeOut: (text) => {
    help += text;
  } }).outputHelp();
  const lines = [...help.matchAll(/^ {2}\$ (.+)$/gm)].map(([, line]) => line!);
  return [...(path.length === 0 ? [] : [{ path: path.join(' '), lines }]), ...command.commands.flatMap((one) => examplesOf(one, [...path, one.name()]))];
}

t.test('every command has an example, and every example works as described', async (t) => {
  const folder = tempFolder(t);
  for (const place of ['.local/share/bash-completion/completions', '.zfunc', '.config/fish/completions']) mkdirSync(join(folder, place), { recursive: true });
  const DATABASE_URL = `file:${join(folder, 'log.db')}`;
  const { key } = await createKey(t, { DATABASE_URL }, '--name', 'me', '--admin', '--publish', '>', '--subscribe', '>', '--presence', '>');
  const { id: otherId } = await createKey(t, { DATABASE_URL }, '--name', 'other', '--publish', '>');
  const CONNECTORS_FILE = join(folder, 'connectors.json');
  writeFileSync(CONNECTORS_FILE, JSON.stringify({ connectors: { mirror: { kind: 'sink', of: 'nats', url: `nats://127.0.0.1:${await freePort()}`, topics: ['orders.>'] } } }));
  const instance = await startInstance(t, { DATABASE_URL, CONNECTORS_FILE, DRAIN_SECONDS: '0', WEBHOOK_ALLOW: '127.0.0.1' });
  const receiver = await WebhookReceiver.start(t);
  const http = new Http(t, instance.url);
  const authorization = `Bearer ${key}`;
  const post = async (topic: string): Promise<void> => {
    t.equal((await http.send('POST', `/topics/${topic}`, { authorization }, 'x')).status, 201);
  };

  const webhook = async (): Promise<{ readonly from: string; readonly to: string }> => {
    const { webhooks } = JSON.parse((await http.get('/webhooks', { authorization })).body) as { readonly webhooks: readonly { readonly id: string }[] };
    return { from: 'k3f9x2ab7q1m4c8z', to: webhooks[0]!.id };
  };

  const examples: readonly Example[] = [
    { line: 'tidings migrate', says: /up to date/ },
    { line: "tidings publish deploys.api 'version 42'", says: /^[a-z0-9]+-1\n$/ },
    { line: "tidings publish deploys.api '{\"version\":42}' --type json --event deployed", says: /^[a-z0-9]+-2\n$/ },
    { line: "printf '1\\n{\"two\":2}\\n' | tidings publish numbers --ndjson", says: /^2 messages published\n$/ },
    { line: "tidings subscribe 'deploys.*' --last 1 --once", says: /^2\S+ deploys\.api \[deployed\] \{"version":42\}\n$/ },
    { line: 'tidings subscribe jobs.mail --after start --once --exec \'echo "$TIDINGS_ID: $TIDINGS_DATA"\' --cursor-file mail.cursor', says: /^[a-z0-9]+-5: x\n$/, before: () => post('jobs.mail') },
    { line: 'tidings topics --prefix deploys. --sort newest --limit 20', says: /deploys\.api/ },
    { line: 'tidings presence room.7', says: /^$/ },
    { line: 'tidings presence room.7 room.8 --json', says: /^\{"topic":"room\.7","streams":0,"members":0\}\n\{"topic":"room\.8".*\}\n$/ },
    { line: 'tidings streams list --topic deploys.api --behind', says: /^$/ },
    { line: 'tidings streams close k3f9x2ab7q-1c --retry 60s', says: / is closed\n$/, before: async () => {
      const stream = await fetch(`${instance.url}/topics/deploys.api/events`, { headers: { authorization } });
      t.teardown(() => stream.body?.cancel());
      const listed = await typed(t, 'tidings streams --json', { env: { TIDINGS_URL: instance.url, TIDINGS_TOKEN: key } });
      return { from: 'k3f9x2ab7q-1c', to: (JSON.parse(listed.output) as { readonly id: string }).id };
    } },
    { line: 'tidings connectors --json', says: /^\{"name":"mirror","kind":"sink",/ },
    { line: 'tidings connectors list', says: /^name\tkind\tof\tstate\t.*\nmirror\tsink\tnats\t/ },
    { line: 'tidings keys create --name deploys --publish \'deploys.>\'', says: /^tdg_/m },
    { line: 'tidings keys create --name deploys --publish \'deploys.>\' --expires 90d', says: /^tdg_/m },
    { line: 'tidings keys list --json', says: /"name":"deploys"/ },
    { line: 'tidings keys rotate 3k9f2m7q1x8d --overlap 1h', says: /^tdg_/m, before: async () => ({ from: '3k9f2m7q1x8d', to: otherId }) },
    { line: 'tidings keys revoke 3k9f2m7q1x8d', says: /is revoked/, before: async () => ({ from: '3k9f2m7q1x8d', to: otherId }) },
    { line: "tidings keys declare --name ci --publish 'deploys.>' > ci.key 2> access.yaml", says: /^$/ },
    { line: 'tidings access', says: /^name\tkey \w+$\n(?:.*\n)*administer\tyes$/m },
    { line: 'tidings access subscribe deploys.api --key 3k9f2m7q1x8d', says: /^no\n.+ \([a-z-]+\)\n$/, code: 5, before: async () => ({ from: '3k9f2m7q1x8d', to: otherId }) },
    { line: 'tidings completion bash > ~/.local/share/bash-completion/completions/tidings', says: /^$/ },
    { line: 'tidings completion zsh > ~/.zfunc/_tidings', says: /^$/ },
    { line: 'tidings completion fish > ~/.config/fish/completions/tidings.fish', says: /^$/ },
    { line: 'tidings doctor https://push.example.com', says: /✓/, before: async () => ({ from: 'https://push.example.com', to: `${instance.url} --idle 1` }) },
    { line: 'tidings instances --json', says: /"status":"ready"/ },
    { line: 'tidings instances list', says: /\tready\t/ },
    { line: 'tidings instances rebalance', says: /^streams are shared out evenly as they are\n$/ },
    { line: "tidings webhooks create https://example.com/hook 'orders.*'", says: /^the webhook \w{16} signs with this secret; .*\nwhsec_\S+\n$/, before: async () => ({ from: 'https://example.com/hook', to: receiver.url }) },
    { line: 'tidings webhooks list --json', says: /^\{"id":"\w{16}","url":"http:\/\/127.*\}\n$/ },
    { line: 'tidings webhooks show k3f9x2ab7q1m4c8z', says: /^topics\torders\.\*$/m, before: webhook },
    { line: "tidings webhooks change k3f9x2ab7q1m4c8z --topics 'orders.*' 'refunds.*'", says: /^topics\torders\.\* refunds\.\*$/m, before: webhook },
    { line: 'tidings webhooks test k3f9x2ab7q1m4c8z', says: /^delivered: 204 in \d+ ms\n$/, before: webhook },
    { line: 'tidings webhooks attempts k3f9x2ab7q1m4c8z --limit 10', says: /^$/, before: webhook },
    { line: 'tidings webhooks replay k3f9x2ab7q1m4c8z --from 10m', says: / goes on after [a-z0-9]+-\d+\n$/, before: webhook },
    { line: 'tidings webhooks rotate k3f9x2ab7q1m4c8z --overlap 1h', says: /\nwhsec_\S+\n$/, before: webhook },
    { line: 'tidings webhooks pause k3f9x2ab7q1m4c8z', says: / is paused\n$/, before: webhook },
    { line: 'tidings webhooks resume k3f9x2ab7q1m4c8z', says: / goes on\n$/, before: webhook },
    { line: 'tidings webhooks delete k3f9x2ab7q1m4c8z', says: / is deleted\n$/, before: webhook },
    { line: 'tidings instances drain k3f9x2ab7q', says: / drains\n$/, before: async () => {
      const { instances } = await http.get('/instances', { authorization }).then(({ body }) => JSON.parse(body) as { readonly instances: readonly { readonly id: string }[] });
      return { from: 'k3f9x2ab7q', to: instances[0]!.id };
    } },
  ];

  const shown = examplesOf(makeProgram(() => Promise.resolve())).filter(({ path }) => !TRIED_ELSEWHERE.includes(path));
  t.same(shown.filter(({ lines }) => lines.length === 0), [], 'each has one');
  const env = { TIDINGS_URL: instance.url, TIDINGS_TOKEN: key, DATABASE_URL };
  const serve = 'tidings serve --port 8081';
  t.same([...new Set(shown.flatMap(({ lines }) => lines))].toSorted(), [serve, ...examples.map(({ line }) => line)].toSorted());
  for (const { line, says, before, code = 0 } of examples) {
    const { from, to } = await before?.() ?? { from: '', to: '' };
    t.match(await typed(t, from === '' ? line : line.replace(from, to), { env, folder }), { code, output: says }, line);
  }
  t.match(readFileSync(join(folder, 'mail.cursor'), 'utf8'), /^[a-z0-9]+-5\n$/);
  t.match(await instance.exited, { code: 0 }, 'it was drained');

  const port = String(await freePort());
  const served = shell(t, serve.replace('8081', port), { env: { DATABASE_URL } });
  await served.says(`listens on http://127.0.0.1:${port}`);
  served.kill('SIGTERM');
  t.match(await served.exited, { code: 0 }, 'it ends in order');
});
