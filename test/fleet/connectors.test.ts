import { jetstream } from '@nats-io/jetstream';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { range } from '../contract/store-kit.ts';
import { accessFile, ROOT, WATCHER } from '../support/access-state.ts';
import { natsClient, natsManager, startJetStream } from '../support/connectors.ts';
import { emptyDatabase } from '../support/database.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Two instances on one log, with a source and a sink; one of them is killed with SIGKILL. */
const MESSAGES = 100;

interface Listed {
  readonly connectors: readonly { readonly name: string; readonly owner?: string; readonly state?: string; readonly cursor?: string }[];
}

const server = await startJetStream(t);
const manager = await natsManager(t, server);
const js = jetstream(await natsClient(t, server));
await manager.streams.add({ name: 'IN', subjects: ['in'] });
await manager.streams.add({ name: 'OUT', subjects: ['mirror.in'] });
const file = join(tempFolder(t), 'connectors.json');
const place = { of: 'nats', url: { env: 'NATS_PLACE' } };
// Another user may be of another account: messages that came from one go back to the other here.
writeFileSync(file, JSON.stringify({ connectors: { in: { ...place, kind: 'source', stream: 'IN' }, out: { of: 'nats', kind: 'sink', url: `nats://mirror:unchecked@localhost:${server.port}`, topics: ['in'], subject: 'mirror.{+topic}', from: 'start' } } }));
const env = { DATABASE_URL: await emptyDatabase(t), CONNECTORS_FILE: file, ACCESS_FILE: accessFile(t, ['>']), NATS_PLACE: server.url, LOG_LEVEL: 'info', POLL_MS: '100' };
const instances = await Promise.all([startInstance(t, env), startInstance(t, env)]);

function nameOf({ output }: Instance): string {
  return [...output.matchAll(/"instance":"([a-z0-9]+)"/g)].at(-1)![1]!;
}

async function listed({ url }: Instance): Promise<Listed['connectors']> {
  return (JSON.parse((await new Http(t, url).get('/connectors', bearer(ROOT.text))).body) as Listed).connectors;
}

/** The instance that runs a connector, as another one says. */
async function ownerOf(connector: string, asked: Instance): Promise<Instance | undefined> {
  const found = (await listed(asked)).find(({ name }) => name === connector);
  return instances.find((instance) => nameOf(instance) === found?.owner);
}

async function send(from: number, to: number): Promise<void> {
  for (const number of range(from, to)) await js.publish('in', `${number}`);
}

async function mirrored(): Promise<string[]> {
  const { state } = await manager.streams.info('OUT');
  const found: string[] = [];
  for (let seq = 1; seq <= state.last_seq; seq++) found.push((await manager.streams.getMessage('OUT', { seq }))!.string());
  return found;
}

t.test('an owner that is killed while messages flow: another one takes over, each message is stored once and sent once, in order', async (t) => {
  const [one, two] = instances;
  const owners = async (): Promise<readonly (Instance | undefined)[]> => [await ownerOf('in', one), await ownerOf('out', one)];
  await until('each has one', async () => new Set(await owners()).size === 2 && !(await owners()).includes(undefined));
  const owner = (await ownerOf('in', one))!;
  const other = owner === one ? two : one;
  const flowing = send(1, MESSAGES);
  // Where it is killed is chance; the end is the same wherever that is.
  await until('some are sent', async () => (await manager.streams.info('OUT')).state.messages > 1);
  owner.kill('SIGKILL');
  await flowing;
  await until('the other took over', async () => await ownerOf('in', other) === other);
  await send(MESSAGES + 1, 2 * MESSAGES);
  await until('all are sent', async () => (await manager.streams.info('OUT')).state.messages >= 2 * MESSAGES);
  t.same(await mirrored(), range(1, 2 * MESSAGES).map(String));
  const history = JSON.parse((await new Http(t, other.url).get('/topics/in/messages?limit=1000', bearer(WATCHER.text))).body) as { messages: readonly { data: string }[] };
  t.same(history.messages.map(({ data }) => data), range(1, 2 * MESSAGES).map(String));
  t.match((await new Http(t, other.url).get('/metrics', bearer(ROOT.text))).body, /^tidings_connector_up\{connector="in"\} 1$/m);
});
