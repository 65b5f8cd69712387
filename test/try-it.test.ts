import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { newPage, startBrowser } from './support/browser.ts';
import { Http } from './support/http.ts';
import { startInstance } from './support/instance.ts';
import { PASTE_END, PASTE_START, typeInto } from './support/terminal.ts';
import { until } from './support/until.ts';

/** "Try it" of the README, as a newcomer does it: in a terminal, typed line by line or pasted as one block. zsh is the shell of macOS, and knows no comments there. */

const PORT = 8080;
/** One word in what is printed, and two in what is typed. */
const END = ['echo "the end: "$((6 * 7))', 'the end: 42'] as const;
const SHELLS = [['bash', '--norc', '-i'], ['zsh', '-f', '-i']] as const;
/** What a shell or curl says of what it does not understand. */
const COMPLAINTS = /not found|no match|parse error|syntax error|unexpected|curl: |"code":/i;

const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
const first = /## Run it\n[^#]*?```sh\n(curl[\s\S]*?)```/.exec(readme)![1]!;
const block = first + /## Try it\n[^#]*?```sh\n([\s\S]*?)```/.exec(readme)![1]!.trimEnd();

const instance = await startInstance(t);
const http = new Http(t, instance.url);
// They wait more than they work.
t.jobs = 4;

for (const shell of SHELLS) {
  const skip = spawnSync(shell[0], ['-c', 'true']).status === 0 ? false : `${shell[0]} is not installed`;
  for (const [way, typed] of [['typed', (text: string) => `${text}\n`], ['pasted', (text: string) => `${PASTE_START}${text}${PASTE_END}\n`]] as const) {
    void t.test(`in ${shell[0]}, ${way}, every line does what the README says, and comes to its end`, { skip, buffered: true }, async (t) => {
      // Topics of its own, on an instance that all share.
      const text = block.replaceAll(`127.0.0.1:${PORT}`, `127.0.0.1:${instance.port}`).replaceAll('deploys.', `${shell[0]}-${way}.`).replaceAll('topics/hello', `topics/hello-${shell[0]}-${way}`);
      const terminal = typeInto(t, shell, `${typed(text)}${END[0]}\n`);
      await terminal.says(END[1]);
      const said = terminal.output.replaceAll('\r', '');
      t.notMatch(said, COMPLAINTS);
      const times = (text: string): number => said.split(text).length - 1;
      t.equal(times('data: Hello, world\n'), 1, 'the first listener has its message');
      t.equal(times('data: version 42 is live\n'), 2, 'the listener and the pattern have the text');
      t.equal(times('event: deployed\ndata: {"version":43}\n'), 2, 'and the JSON');
      t.match(said, /"messages":\[\{[^\n]*"data":"version 42 is live"\},\{[^\n]*"data":\{"version":43\}\}\]/, 'history has both');
      t.match(said, /\{"id":"[^"]*","topic":"orders",/);
      for (const [topic, data] of [['a', 1], ['b', 2]] as const) t.match(said, new RegExp(`data: \\{"id":"[^"]*","topic":"${topic}",[^\\n]*"data":${data}\\}\\n`), topic);
    });
  }
}

void t.test('the text to paste into the console of a browser opens a stream there', async (t) => {
  const line = /open its console, and paste:\n\n```js\n(.*)\n```/.exec(readme)![1]!;
  const page = await newPage(await startBrowser(t));
  await page.goto(`${instance.url}/healthz`);
  const said = page.waitForEvent('console', { predicate: (message) => message.text().includes('version 42') });
  await page.evaluate(line.replace('deploys.', 'console.'));
  // The terminals have streams, too.
  await until('its stream is open', async () => (await http.json<{ streams: unknown[] }>('/streams?topic=console.api')).streams.length > 0);
  await http.publish('console.api', 'version 42 is live');
  t.match((await said).text(), /^[a-z0-9]+-[0-9]+ version 42 is live$/);
});

// The instance keeps it from ending by itself.
t.end();
