import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { SENDERS, type KnownSender } from '../../src/hooks/senders.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { tempFolder } from '../support/temp.ts';

/** docs/hooks.md, as a reader tries it. */

const text = readFileSync(join(import.meta.dirname, '../../docs/hooks.md'), 'utf8');
const blocks = [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language, block]) => ({ language, block: block! }));

t.test('the file and the commands of the document work', async (t) => {
  const file = join(tempFolder(t), 'hooks.yaml');
  writeFileSync(file, blocks.find(({ language }) => language === 'yaml')!.block);
  const secret = 'a secret of the documentation';
  const instance = await startInstance(t, { HOOKS_FILE: file, GITHUB_HOOK_SECRET: secret });
  const line = blocks.filter(({ language }) => language === 'sh')[1]!.block.replace('http://127.0.0.1:8080', instance.url);
  const { stdout, stderr, status } = spawnSync('bash', ['-c', line], { env: { PATH: process.env['PATH'], GITHUB_HOOK_SECRET: secret }, encoding: 'utf8' });
  t.equal(status, 0, stderr);
  const documented = JSON.parse(blocks.find(({ language }) => language === 'json')!.block) as { messages: { topic: string; event: string }[] };
  const [{ topic, event }] = documented.messages as [{ topic: string; event: string }];
  t.match(JSON.parse(stdout), { messages: [{ topic, event }] });
  t.match(await new Http(t, instance.url).json(`/topics/${topic}/messages`), { messages: [{ data: { ref: 'refs/heads/main' } }] });
});

const known: Readonly<Record<string, KnownSender>> = SENDERS;

t.test('all senders are in its table, with their events and keys', (t) => {
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| (.*)$/gm)].map(([, name, row]) => ({ name: name!, row: row! })).filter(({ name }) => name !== 'from');
  t.same(rows.map(({ name }) => name), Object.keys(SENDERS));
  const places = (template: string): string[] => [...template.matchAll(/(?:header:|body:)?([^{}|=]+)(?=[|}])/g)].map(([, place]) => place!).filter((place) => place !== 'message');
  for (const { name, row } of rows) for (const template of [known[name]!.event, known[name]!.key]) if (template !== undefined) t.ok(row.includes(`\`${places(template)[0]!}\``), `${name}: ${template}`);
  t.end();
});
