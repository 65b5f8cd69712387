import type { Redis } from 'ioredis';
import { redisClient } from './redis-client.ts';
import { RedisServer } from './redis.ts';
import type { Scope } from './temp.ts';
import { until } from './until.ts';

const MASTERS = 3;
const SLOTS = 16_384;

export interface ClusterOptions {
  /** After how long without an answer a node counts as dead: milliseconds. Long where no failover is wanted, so that a busy machine makes none. */
  readonly nodeTimeout?: number;
  /** Each master has one. */
  readonly replicas?: boolean;
}

/** A cluster of three masters, with a replica for each if so wanted. */
class ClusterFleet {
  readonly masters: readonly ClusterNode[];
  readonly replicas: readonly ClusterNode[];

  constructor(masters: readonly ClusterNode[], replicas: readonly ClusterNode[]) {
    this.masters = masters;
    this.replicas = replicas;
  }

  /** It names the masters, as far as they were masters at the beginning. */
  get url(): string {
    return `redis+cluster://${this.masters.map(({ server }) => `127.0.0.1:${server.port}`).join(',')}`;
  }

  /** The node to which a connection of that name leads, once there is one. */
  async of(name: string): Promise<ClusterNode> {
    let found: ClusterNode | undefined;
    await until(`${name} is connected`, async () => {
      for (const node of this.masters) if (String(await node.client.call('CLIENT', 'LIST')).includes(`name=${name} `)) found = node;
      return found !== undefined;
    });
    return found!;
  }
}

export interface ClusterNode {
  readonly server: RedisServer;
  /** A client of it that is not ours. */
  readonly client: Redis;
}

/** What a node says of the cluster in `CLUSTER INFO`. */
export async function clusterInfo({ client }: ClusterNode): Promise<string> {
  return String(await client.call('CLUSTER', 'INFO'));
}

/** Starts a cluster, and waits until every node knows all of it and thinks well of it. */
export async function startCluster(t: Scope, { nodeTimeout = 60_000, replicas: wanted = false }: ClusterOptions = {}): Promise<ClusterFleet> {
  const nodes: ClusterNode[] = [];
  for (let index = 0; index < MASTERS * (wanted ? 2 : 1); index++) {
    const server = new RedisServer(t, { cluster: true, settings: ['--cluster-node-timeout', String(nodeTimeout), '--cluster-replica-validity-factor', '0', '--repl-diskless-sync-delay', '0'] });
    await server.start();
    nodes.push({ server, client: redisClient(t, server) });
  }
  const masters = nodes.slice(0, MASTERS);
  const replicas = nodes.slice(MASTERS);
  for (const [index, { client }] of masters.entries()) {
    const [from, to] = [index, index + 1].map((share) => Math.floor(share * SLOTS / MASTERS)) as [number, number];
    await client.call('CLUSTER', 'ADDSLOTS', ...Array.from({ length: to - from }, (_, slot) => from + slot));
    await client.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
  }
  for (const { client } of nodes) for (const { server } of nodes) await client.call('CLUSTER', 'MEET', '127.0.0.1', server.port);
  await agreed(nodes, new RegExp(`cluster_state:ok[^]*cluster_known_nodes:${nodes.length}\r`));
  for (const [index, { client }] of replicas.entries()) await client.call('CLUSTER', 'REPLICATE', String(await masters[index]!.client.call('CLUSTER', 'MYID')));
  for (const { client } of replicas) await until('a replica follows its master', async () => String(await client.info('replication')).includes('master_link_status:up'));
  await until('all know the replicas, and have a link to every other node', async () => {
    for (const { client } of nodes) {
      const others = String(await client.call('CLUSTER', 'NODES')).trim().split('\n').filter((line) => !line.includes('myself'));
      if (others.some((line) => !/^\S+ \S+ (master|slave) .* connected( |$)/.test(line))) return false;
      if ((await client.call('CLUSTER', 'NODES') as string).split('slave').length - 1 !== replicas.length) return false;
    }
    return true;
  });
  await agreed(nodes, /cluster_state:ok/);
  return new ClusterFleet(masters, replicas);
}

async function agreed(nodes: readonly ClusterNode[], wanted: RegExp): Promise<void> {
  for (const node of nodes) await until(`a node says ${wanted}`, async () => wanted.test(await clusterInfo(node)));
}
