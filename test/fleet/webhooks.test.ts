import type { ServerResponse } from 'node:http';
import t from 'tap';
import { accessFile, ROOT, WATCHER } from '../support/access-state.ts';
import { emptyDatabase } from '../support/database.ts';
import { Http, seqOf } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { until } from '../support/until.ts';
import { WebhookReceiver, wrongDeliveries } from '../support/webhook-receiver.ts';

/** Three instances on one log. Each has one of three webhooks: one is killed, and one stands still for longer than its lease. */
const MESSAGES = 30;
const STOPPED_AT = 10;

interface Shown {
  readonly id: string;
  readonly owner?: string;
  readonly cursor: string;
}

const receiver = await WebhookReceiver.start(t);
const env = { DATABASE_URL: await emptyDatabase(t), ACCESS_FILE: accessFile(t, ['>']), WEBHOOK_ALLOW: '127.0.0.1', WEBHOOK_TIMEOUT_SECONDS: '120', LOG_LEVEL: 'info', POLL_MS: '100' };
const instances = await Promise.all([startInstance(t, env), startInstance(t, env), startInstance(t, env)]);

function nameOf({ output }: Instance): string {
  return /"instance":"([a-z0-9]+)"/.exec(output)![1]!;
}

async function ask(http: Http, method: string, path: string, body?: object): Promise<Shown> {
  const answer = await http.send(method, path, { ...bearer(ROOT.text), 'content-type': 'application/json' }, body === undefined ? '' : JSON.stringify(body));
  if (answer.status >= 300) throw new Error(answer.body);
  return JSON.parse(answer.body) as Shown;
}

/** Which instance delivers a webhook. */
async function ownerOf(http: Http, id: string): Promise<Instance | undefined> {
  const { owner } = await ask(http, 'GET', `/webhooks/${id}`);
  return instances.find((instance) => nameOf(instance) === owner);
}

/** How many webhooks an instance delivers. */
async function delivered(http: Http): Promise<number> {
  return Number(/^tidings_webhooks (\d+)$/m.exec((await http.get('/metrics', bearer(ROOT.text))).body)![1]);
}

t.test('an owner is killed, frozen or closed in a delivery: nothing is lost, the order is kept, and a repeated delivery has the same id', async (t) => {
  const first = new Http(t, instances[0].url);
  const ids = new Map<string, string[]>();
  const hooks = new Map<string, Shown>();
  for (const name of ['killed', 'frozen', 'left']) hooks.set(name, await ask(first, 'POST', '/webhooks', { url: `${receiver.url}/${name}`, topics: [name] }));
  const owners = new Map<string, Instance>();
  await until('each instance has one of them', async () => {
    for (const [name, { id }] of hooks) {
      const owner = await ownerOf(first, id);
      if (owner !== undefined) owners.set(name, owner);
    }
    return new Set(owners.values()).size === 3;
  });
  const survivor = new Http(t, owners.get('left')!.url);
  const held = new Map<string, ServerResponse>();
  for (const name of ['killed', 'frozen']) {
    // The answer to one message waits, once. Meanwhile its owner is killed or stopped.
    receiver.answers.set(`/${name}`, ({ body }, response) => {
      if (!body.includes(`"data":"${STOPPED_AT}"`) || held.has(name)) return void response.end();
      held.set(name, response);
      owners.get(name)!.kill(name === 'killed' ? 'SIGKILL' : 'SIGSTOP');
    });
  }
  for (let index = 0; index < MESSAGES; index++) {
    for (const name of hooks.keys()) ids.set(name, [...ids.get(name) ?? [], await survivor.publish(name, String(index), bearer(WATCHER.text))]);
  }
  const isWhole = (name: string): boolean => new Set(receiver.at(`/${name}`).map(({ id }) => id)).size === ids.get(name)!.length;
  await until('others have gone on', () => [...hooks.keys()].every(isWhole));
  t.equal(held.size, 2, 'both were in a delivery');
  const frozen = hooks.get('frozen')!;
  const before = await ownerOf(survivor, frozen.id);
  t.equal(before, owners.get('left'), 'the survivor has it');
  const doubled = receiver.at('/frozen').length;
  // It wakes up with an answer to a request that it sent when it was the owner.
  held.get('frozen')!.end();
  const woken = owners.get('frozen')!;
  woken.kill('SIGCONT');
  const itself = new Http(t, woken.url);
  await until('it knows that it has lost it', async () => await delivered(itself) + await delivered(survivor) === hooks.size);
  const last = await survivor.publish('frozen', 'last', bearer(WATCHER.text));
  ids.get('frozen')!.push(last);
  await until('the last one is there', () => isWhole('frozen'));
  await until('the cursor is at the end', async () => seqOf((await ask(survivor, 'GET', `/webhooks/${frozen.id}`)).cursor) >= seqOf(last));
  for (const name of hooks.keys()) t.same(wrongDeliveries(receiver.at(`/${name}`), ids.get(name)!), [], name);
  t.equal(receiver.at('/frozen').length, doubled + 1, 'it delivered nothing as if it still owned it');
  t.equal(receiver.at('/left').length, MESSAGES, 'nobody else noticed');

  const closed = owners.get('left')!;
  closed.kill('SIGTERM');
  await closed.exited;
  for (const { id } of hooks.values()) t.not(await ownerOf(itself, id), closed, 'who is closed lets go at once');
  const after = await itself.publish('left', 'after it was closed', bearer(WATCHER.text));
  ids.get('left')!.push(after);
  await until('the other one goes on', () => isWhole('left'));
  t.same(wrongDeliveries(receiver.at('/left'), ids.get('left')!), []);
});
