import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { Child } from './child.ts';
import type { Instance } from './instance.ts';
import type { Scope } from './temp.ts';

const run = promisify(execFile);

const SERVER_ADDRESS = '10.99.0.1';
const CLIENT_ADDRESS = '10.99.0.2';
const SERVER_HARDWARE = '02:00:00:00:00:01';
const CLIENT_HARDWARE = '02:00:00:00:00:02';

/** A network of its own, with one cable: its other end goes to another network. The address behind it stays known, as that of a gateway does, so that what is sent to it is lost without a word. */
const SERVER_SIDE = [
  'ip link set lo up',
  `ip link add server address ${SERVER_HARDWARE} type veth peer name client address ${CLIENT_HARDWARE}`,
  `ip addr add ${SERVER_ADDRESS}/24 dev server`,
  'ip link set server up',
  `ip neigh replace ${CLIENT_ADDRESS} lladdr ${CLIENT_HARDWARE} dev server nud permanent`,
];

/** What a program is started by, so that it is in a network of its own. */
export const BY_PRIVATE_NETWORK = ['unshare', '--user', '--map-root-user', '--net', 'sh', '-c', `${SERVER_SIDE.join(' && ')} && exec "$@"`, 'sh'];

/** Why there can be no such network here; false if there can. */
export function noPrivateNetwork(): string | false {
  if (process.platform !== 'linux') return 'only Linux has network namespaces';
  try {
    execFileSync(BY_PRIVATE_NETWORK[0]!, [...BY_PRIVATE_NETWORK.slice(1), 'true'], { stdio: 'ignore' });
    return false;
  } catch (error) {
    return `this user may not make a network namespace, or there is no "ip": ${(error as Error).message.split('\n', 1)[0]}`;
  }
}

/** Asks for a URL, and prints what comes. */
const GET = `
  const [url, id] = process.argv.slice(1);
  require('node:http').get(url, { headers: id ? { 'last-event-id': id } : {} }, (response) => response.pipe(process.stdout)).on('error', (error) => console.log(error.message));
`;
const POST = `
  const [url, length] = process.argv.slice(1);
  require('node:http').request(url, { method: 'POST', headers: { 'content-type': 'text/plain' } }, (response) => response.pipe(process.stdout)).end('x'.repeat(length));
`;

/** An instance in a network of its own, which nobody else reaches, and a second network on the other end of its cable. */
export class PrivateNetwork {
  readonly #scope: Scope;
  readonly #instance: Instance;
  /** A process in the second network keeps it there. */
  readonly #holder: Child;

  private constructor(t: Scope, instance: Instance) {
    this.#scope = t;
    this.#instance = instance;
    this.#holder = new Child(t, 'nsenter', [...into(instance.pid), 'unshare', '--net', 'sh', '-c', 'echo made && exec sleep infinity']);
  }

  /** @param instance Started by `BY_PRIVATE_NETWORK`. */
  static async join(t: Scope, instance: Instance): Promise<PrivateNetwork> {
    const network = new PrivateNetwork(t, instance);
    await network.#holder.says('made');
    await network.#ip(instance.pid, `link set client netns ${network.#holder.pid}`);
    await network.#ip(network.#holder.pid, `addr add ${CLIENT_ADDRESS}/24 dev client`);
    await network.plug(true);
    return network;
  }

  /** Plugs the cable in, or pulls it out. Neither end's programs are told. */
  plug(isIn: boolean): Promise<unknown> {
    return this.#ip(this.#holder.pid, `link set client ${isIn ? 'up' : 'down'}`);
  }

  /** A client in the second network. */
  distant(path: string, id = ''): Child {
    return this.#node(this.#holder.pid, GET, `http://${SERVER_ADDRESS}:${this.#instance.port}${path}`, id);
  }

  /** A client on the instance's own side. */
  near(path: string): Child {
    return this.#node(this.#instance.pid, GET, this.#instance.url + path);
  }

  async publish(topic: string, bytes: number): Promise<void> {
    const child = this.#node(this.#instance.pid, POST, `${this.#instance.url}/topics/${topic}`, String(bytes));
    await child.exited;
    if (!child.output.includes('"id"')) throw new Error(`It was not published: ${child.output}`);
  }

  /** A metric by the name, and labels, that stand there. */
  async metric(name: string): Promise<number> {
    const child = this.near('/metrics');
    await child.exited;
    const line = child.output.split('\n').find((one) => one.startsWith(`tidings_${name} `));
    return Number(line?.split(' ')[1] ?? 0);
  }

  #node(pid: number, ...args: readonly string[]): Child {
    return new Child(this.#scope, 'nsenter', [...into(pid), process.execPath, '-e', ...args]);
  }

  #ip(pid: number, command: string): Promise<unknown> {
    return run('nsenter', [...into(pid), 'ip', ...command.split(' ')]);
  }
}

function into(pid: number): readonly string[] {
  return ['--target', String(pid), '--user', '--net', '--preserve-credentials'];
}
