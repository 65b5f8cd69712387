import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { chromiumKinds } from '../clients/support/chromium.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { startNginxServer } from '../support/nginx.ts';
import { until } from '../support/until.ts';

/** The nginx that people begin with, and the lines of the README that it lacks, over a restart of the service behind it. */

const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
const cured = /## Behind nginx\n[^#]*?```nginx\n([\s\S]*?)```/.exec(readme)![1]!;
const plain = /location \/ \{\n[^}]*\}\n/.exec(cured)![0];

t.test('with proxy_pass alone a restart ends every EventSource for good; with the lines of the README all come back and miss nothing', async (t) => {
  const instance = await startInstance(t, { CORS_ORIGINS: '*', DRAIN_SECONDS: '0' });
  const here = (lines: string): string => lines.replaceAll('http://127.0.0.1:8080', instance.url);
  const [before, after, page] = await Promise.all([startNginxServer(t, here(plain)), startNginxServer(t, here(cured)), chromiumKinds(t)]);
  const eventSource = page.kinds.find(({ name }) => name === "Chromium's EventSource")!;
  const [lost, kept] = [before, after].map(({ url }) => ['/topics/news/events', '/events?topic=news'].map((path) => eventSource.open(t, url + path))) as [ReturnType<typeof eventSource.open>[], ReturnType<typeof eventSource.open>[]];
  const opened = ({ received }: (typeof lost)[number]): number => received.filter(({ event }) => event === '$open').length;
  const messages = ({ received }: (typeof lost)[number]): string[] => received.filter(({ event }) => event === 'message').map(({ id }) => id);
  await until('all are open', () => [...lost, ...kept].every((client) => opened(client) > 0));
  const http = new Http(t, instance.url);
  const ids = [await http.publish('news', 'before')];
  await until('all have it', () => [...lost, ...kept].every((client) => messages(client).length > 0));

  instance.kill('SIGTERM');
  await instance.exited;
  await until('those of the plain one have given up', () => lost.every(({ gaveUp }) => gaveUp !== undefined));
  const throughCured = new Http(t, after.url);
  for (const path of ['/topics/news/events', '/events?topic=news']) {
    const { status, headers, body } = await throughCured.get(path);
    t.same([status, headers['content-type'], body], [200, 'text/event-stream', 'retry: 2000\n\n']);
  }
  // What was not stored must not look as if it was, nor history as if there was none.
  for (const answer of [await throughCured.post('news', 'lost'), await throughCured.post('news/events', 'lost'), await throughCured.send('POST', '/events'), await throughCured.get('/messages')]) t.ok(answer.status >= 500, String(answer.status));

  await instance.restart();
  ids.push(await http.publish('news', 'after'));
  await until('the others have the message', () => kept.every((client) => messages(client).at(-1) === ids.at(-1)));
  for (const client of kept) t.same([messages(client), client.gaveUp], [ids, undefined]);
  for (const client of lost) t.equal(messages(client).length, 1);
  t.same(page.faults, []);
});
