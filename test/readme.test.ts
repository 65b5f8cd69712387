import { access, readFile } from 'node:fs/promises';
import { t } from 'tap';
import { SETTINGS } from '../src/config/settings.ts';

const root = new URL('../', import.meta.url);

const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'docs/architecture.md', 'docs/protocol.md', 'docs/clients.md', 'docs/client.md', 'docs/page.md', 'docs/cli.md', 'docs/publishers.md', 'docs/access.md', 'docs/access-jwt.md', 'docs/limits.md', 'docs/streams.md', 'docs/presence.md', 'docs/webhooks.md', 'docs/connectors.md', 'SECURITY.md', 'docs/deploy.md', 'docs/moving.md', 'docs/doctor.md', 'docs/postgresql.md', 'docs/guarantees.md', 'docs/monitoring.md', 'docs/testing.md', 'docs/performance.md'];

t.test('the table of settings says what the program does', async (t) => {
  const readme = await readFile(new URL('README.md', root), 'utf8');
  const rows = readme.split('<!-- settings -->')[1]!.split('<!-- /settings -->')[0]!.trim().split('\n').slice(2);
  t.same(rows, Object.entries(SETTINGS).map(([name, setting]) => {
    const value = setting.default === '' ? '' : `\`${setting.default}\``;
    return `| \`${name}\` | ${setting.type} | ${setting.unit} | ${value} | ${setting.meaning} |`;
  }));
});

t.test('every file that the documents name is there', async (t) => {
  for (const name of DOCUMENTS) {
    const text = await readFile(new URL(name, root), 'utf8');
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
      await t.resolves(access(new URL(target!, new URL(name, root))), `${name}: ${target}`);
    }
    // Files of src are named without it, those of test with it.
    for (const [, path] of text.matchAll(/`((?:test|client|cli|http|fleet|access|delivery|log|bus|presence|store|model|config|runtime)\/[\w./-]+\.ts)`/g)) {
      await t.resolves(readFile(new URL(path!.startsWith('test/') ? path! : `src/${path}`, root)), `${name}: ${path}`);
    }
  }
});

t.test('what is to be pasted into a terminal has no comments: in zsh they are arguments, and their quotes begin texts', async (t) => {
  for (const name of DOCUMENTS) {
    const text = await readFile(new URL(name, root), 'utf8');
    for (const [, block] of text.matchAll(/```(?:sh|bash|shell|console)\n([\s\S]*?)```/g)) t.notMatch(block, /(^|\s)#/m, name);
  }
});
