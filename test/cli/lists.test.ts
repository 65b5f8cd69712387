import { readFileSync } from 'node:fs';
import t from 'tap';
import { makeProgram } from '../../src/cli/tidings.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { typed } from '../support/tidings-command.ts';

/** What `tidings topics`, `streams` and `presence` print of lists that are longer than a page. */

t.test('a list of several pages is printed whole, with the same columns on each', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'error' });
  const http = new Http(t, instance.url);
  const env = { TIDINGS_URL: instance.url };
  const listen = async (query: URLSearchParams): Promise<void> => {
    const stream = await fetch(`${instance.url}/events?${query.toString()}`);
    t.teardown(() => stream.body?.cancel());
  };
  const names = Array.from({ length: 100 }, (_, index) => `a.${index}`);
  await listen(new URLSearchParams(names.map((name): [string, string] => ['topic', name])));
  for (let member = 0; member <= 100; member++) await listen(new URLSearchParams([['topic', 'room'], ['as', `m${member}`]]));
  const lines = Array.from({ length: 101 }, (_, data) => JSON.stringify({ topic: 'z', data })).join('\n');
  t.equal((await http.send('POST', '/messages', { 'content-type': 'application/x-ndjson' }, lines)).status, 201);

  const table = async (line: string): Promise<{ readonly headings: string | undefined; readonly rows: readonly string[] }> => {
    const { code, output } = await typed(t, line, { env });
    t.equal(code, 0, output);
    const [headings, ...rows] = output.trimEnd().split('\n');
    return { headings, rows };
  };
  const topics = await table('tidings topics');
  t.equal(topics.headings, 'topic\tstreams\tmessages\tbytes\tnewest\ttime');
  t.equal(topics.rows.length, 102);
  t.match(topics.rows.at(-1), /^z\t0\t100\+\t\d+\t\S+-101\t2\S+$/, 'the first page has no topic with messages');
  t.equal(topics.rows[0], 'a.0\t1\t0\t0\t-\t-');
  const streams = await table('tidings streams');
  t.match(streams.headings, /^id\tmember\tcredential\ttopics\t/);
  t.equal(streams.rows.length, 102);
  t.equal((await table('tidings streams --member m7')).rows.length, 1);
  t.match(await typed(t, "tidings streams --credential 'key 3k9f'", { env }), { code: 0, output: '' });
  t.equal((await table('tidings presence room')).rows.length, 101);
});

t.test('docs/cli.md has every command, and no help shows a time in milliseconds', (t) => {
  const guide = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  const { commands } = makeProgram(() => Promise.resolve());
  t.same(commands.map((command) => command.name()).filter((name) => !guide.includes(`\n| \`${name} `)), [], 'those that are missing there');
  for (const command of commands) t.notMatch(command.helpInformation(), /default: \d{4}/, command.name());
  t.end();
});
