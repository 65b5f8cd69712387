import type { Redis } from 'ioredis';
import type { Access, Address, ClusterLocation } from '../../config/redis-url.ts';
import type { ServerDiscovery } from './discovery-contract.ts';

/**
 * Finds a node of a cluster. Any node will do: each forwards a published message to the subscribers of all nodes, masters and replicas.
 * But a node that was cut off, or removed from the cluster, still takes messages that no subscriber gets. So a node must see most masters.
 *
 * Sharded channels are no alternative. They need Redis 7, put all load on the shard of the log's channel, and stop until a replica of that
 * shard's dead master is promoted. Here the instances spread over the nodes, and leave a dead node at once.
 */
export class ClusterDiscovery implements ServerDiscovery {
  readonly access: Access;
  readonly #nodes: readonly Address[];
  #turn: number;

  constructor({ nodes, access }: ClusterLocation) {
    this.access = access;
    this.#nodes = nodes;
    this.#turn = Math.floor(Math.random() * nodes.length);
  }

  next(): Promise<Address> {
    return Promise.resolve(this.#nodes[this.#turn++ % this.#nodes.length]!);
  }

  async reasonToLeave(redis: Redis): Promise<string | undefined> {
    try {
      return seesMajority(String(await redis.call('CLUSTER', 'NODES'))) ? undefined : 'this node does not see most masters of the cluster';
    } catch (error) {
      // The server is no cluster. A user without the right to ask cannot tell, and a connection that broke reports that itself.
      return error instanceof Error && error.name === 'ReplyError' && !error.message.startsWith('NOPERM') ? error.message : undefined;
    }
  }

  async close(): Promise<void> {
    // It has no connection of its own.
  }
}

/** Whether a node sees most of the masters that hold slots: only that majority may decide anything in a cluster. */
function seesMajority(nodes: string): boolean {
  let masters = 0;
  let seen = 0;
  for (const line of nodes.split('\n')) {
    // id, address, flags, its master, ping, pong, epoch, link, and the slots
    const [, , flagList = '', , , , , , slots] = line.split(' ');
    const flags = flagList.split(',');
    if (!flags.includes('master') || slots === undefined) continue;
    masters += 1;
    if (!flags.includes('fail') && !flags.includes('fail?')) seen += 1;
  }
  return seen * 2 > masters;
}
