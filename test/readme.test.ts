import { readdirSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { t } from 'tap';
import { SETTINGS } from '../src/config/settings.ts';

const root = new URL('../', import.meta.url);

const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...readdirSync(new URL('docs/', root)).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(text: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const anchors = new Set<string>();
  for (const [, heading] of text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6} (.*)$/gm)) {
    const anchor = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase().replaceAll(/[^\p{L}\p{N}\- _]/gu, '').replaceAll(' ', '-');
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    anchors.add(times === 0 ? anchor : `${anchor}-${times}`);
  }
  return anchors;
}

t.test('the tables of settings have each setting once, in the order of the program, with its default and meaning', async (t) => {
  const document = await readFile(new URL('docs/settings.md', root), 'utf8');
  const rows = document.split('<!-- settings -->')[1]!.split('<!-- /settings -->')[0]!.split('\n').filter((line) => line.startsWith('| `'));
  t.same(rows, Object.entries(SETTINGS).map(([name, setting]) => {
    const value = setting.default === '' ? '' : `\`${setting.default}\``;
    return `| \`${name}\` | ${setting.type} | ${setting.unit} | ${value} | ${setting.meaning.replaceAll('](docs/', '](')} |`;
  }));
});

t.test('the row of a setting with a few choices names each of them', async (t) => {
  for (const [name, setting] of Object.entries(SETTINGS)) {
    if (setting.type !== 'choice') continue;
    for (const choice of setting.allowed.split(' or ')) t.ok(setting.meaning.split(' Choices: ')[1]?.includes(choice), `${name}: ${choice}`);
  }
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

t.test('a file that a document names for a type or a method has it', async (t) => {
  let found = 0;
  for (const name of DOCUMENTS) {
    const text = await readFile(new URL(name, root), 'utf8');
    const inFile = [...text.matchAll(/`(\w+)` in \[?`((?:src|test)\/[\w./-]+\.ts)`/g)].map(([, part, path]) => [part!, path!] as const);
    const ofFile = [...text.matchAll(/`((?:\w[\w-]*\/)+[\w-]+\.ts)` \(`(#?\w+)`\)/g)].map(([, path, part]) => [part!, path!.startsWith('test/') ? path! : `src/${path}`] as const);
    for (const [part, path] of [...inFile, ...ofFile]) {
      found += 1;
      t.match(await readFile(new URL(path, root), 'utf8'), new RegExp(`(?:(?:class|interface|type|const|function) |^  (?:async )?)${part}\\b`, 'm'), `${name}: ${part} in ${path}`);
    }
  }
  t.ok(found > 5, 'they were found');
});

t.test('every heading that a link of the documents names is there', async (t) => {
  for (const name of DOCUMENTS) {
    const text = await readFile(new URL(name, root), 'utf8');
    for (const [, target, anchor] of text.matchAll(/\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)/g)) {
      const file = target === '' ? new URL(name, root) : new URL(target!, new URL(name, root));
      if (file.pathname.endsWith('.md')) t.ok(anchorsOf(await readFile(file, 'utf8')).has(anchor!), `${name}: ${target}#${anchor}`);
    }
  }
});

t.test('every page of docs is linked from another document', async (t) => {
  const texts = await Promise.all(DOCUMENTS.map(async (name) => ({ name, text: await readFile(new URL(name, root), 'utf8') })));
  for (const page of DOCUMENTS.filter((name) => name.startsWith('docs/'))) {
    const { pathname } = new URL(page, root);
    const linking = texts.filter(({ name, text }) => name !== page && [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].some(([, target]) => new URL(target!, new URL(name, root)).pathname === pathname));
    t.not(linking.length, 0, page);
  }
});

t.test("docs/performance.md has the benchmark's notes as they are: the report copies them", async (t) => {
  const notes = await readFile(new URL('bench/report/notes.md', root), 'utf8');
  t.ok((await readFile(new URL('docs/performance.md', root), 'utf8')).includes(notes.trim()));
});

t.test('text to paste into a terminal has no comments: in zsh they are arguments, and their quotes begin texts', async (t) => {
  for (const name of DOCUMENTS) {
    const text = await readFile(new URL(name, root), 'utf8');
    for (const [, block] of text.matchAll(/```(?:sh|bash|shell|console)\n([\s\S]*?)```/g)) t.notMatch(block, /(^|\s)#/m, name);
  }
});

/** On the page about access, to show what a request without a credential gets. */
const STRANGERS = ["curl -sNm 2 'http://127.0.0.1:8080/topics/status.%3E/events?since=1m'", "curl -d 'from a stranger' http://127.0.0.1:8080/topics/status.api"];

t.test('once a document has made a key, its commands carry a credential: a reader who follows it from top to bottom gets no 401', async (t) => {
  for (const name of DOCUMENTS) {
    const text = await readFile(new URL(name, root), 'utf8');
    const lines = [...text.matchAll(/```(?:sh|bash)\n([\s\S]*?)```/g)].flatMap(([, block]) => block!.split('\n'));
    const first = lines.findIndex((line) => line.includes('keys create'));
    for (const line of first === -1 ? [] : lines.slice(first)) {
      if (/curl\b.*(?:127\.0\.0\.1|localhost):8080/.test(line) && !STRANGERS.includes(line)) t.match(line, /-u ":\$|Authorization: Bearer \$|cookie|ticket=/i, `${name}: ${line}`);
    }
  }
});

t.test("the README's first screen says what Tidings is, starts it, publishes and listens, and shows what comes back", async (t) => {
  const screen = (await readFile(new URL('README.md', root), 'utf8')).split('\n').slice(0, 37).join('\n');
  t.match(screen, /^# Tidings\n\nTidings is [^]*```sh\nnpm ci && npm start\n```[^]*```sh\n(?:curl .*\n){2}```[^]*"topic":"hello"[^]*\ndata: Hello, world\n/);
  t.notMatch(screen, /!\[/, 'the picture comes later');
});

t.test('every page of docs begins with a sentence that says what it is for', async (t) => {
  for (const name of DOCUMENTS.filter((one) => one.startsWith('docs/'))) {
    const [title, first] = (await readFile(new URL(name, root), 'utf8')).replaceAll(/^<!--.*-->$/gm, '').split('\n').filter((line) => line !== '');
    t.match(title, /^# /, name);
    t.match(first, /^(?!```)["*`[\w].*\w/, `${name}: ${first}`);
  }
});
