import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** The script of docs/scripts.md that waits for one message, as it is printed there. */

const PAGE = await readFile(join(import.meta.dirname, '../../docs/scripts.md'), 'utf8');
const SCRIPT = /<!-- wait for one -->\n```sh\n([^]*?)```\n<!-- \/wait for one -->/.exec(PAGE)![1]!;
const ORIGIN = 'http://127.0.0.1:8080';
const START = ': start what will publish the message here\n';

/** @param job What it starts. */
function run(t: Scope, instance: Instance, job: string): Promise<string> {
  const script = SCRIPT.replace(ORIGIN, instance.url).replace(START, job);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = execFile('sh', ['-c', script], (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
  t.teardown(() => child.kill());
  return promise;
}

const data = (page: string): unknown => (JSON.parse(page) as { messages: { data: unknown }[] }).messages.map((message) => message.data);

void t.test('it has the places that the test fills in', (t) => {
  t.equal(SCRIPT.split(ORIGIN).length, 2);
  t.equal(SCRIPT.split(START).length, 2);
  t.end();
});

void t.test('a message that comes before the first wait is found, and none from before the script', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'warn' });
  const http = new Http(t, instance.url);
  await http.publish('deploys.api', 'old');
  const page = await run(t, instance, `curl -sS -o ${instance.folder}/published -d 'new, with "cursor":"x" in it' ${instance.url}/topics/deploys.api\n`);
  t.same(data(page), ['new, with "cursor":"x" in it']);
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  void t.test(`it goes on over a restart by ${signal}, and misses nothing of it`, async (t) => {
    // A draining instance answers each wait at once, and the script asks again until the window is over.
    const instance = await startInstance(t, { LOG_LEVEL: 'warn', DRAIN_SECONDS: '1' });
    const http = new Http(t, instance.url);
    const page = run(t, instance, '');
    await until('it waits', async () => await http.metric('long_polls') === 1);
    await instance.restart(signal);
    const again = new Http(t, instance.url);
    await again.publish('deploys.other', 'not this one');
    await again.publish('deploys.api', 'the one');
    await again.publish('deploys.api', 'the next');
    t.same(data(await page), ['the one']);
  });
}
