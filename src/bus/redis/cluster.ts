import type { Redis } from 'ioredis';
import type { Access, Address } from '../../config/redis-url.ts';
import type { Route } from './discovery.ts';

/**
 * To any node of a cluster. What is published on one node reaches the subscribers of all, masters and replicas, so one that
 * answers is as good as another as long as it sees most of the cluster: one that was cut off, or taken out, would go on taking what nobody
 * hears. Sharded channels would need Redis 7, all load on the one shard of the log's channel, and a promotion before anything goes on when that
 * shard's master dies; here the instances spread over the nodes, and go to another one at once.
 */
export class ClusterRoute implements Route {
  readonly access: Access;
  readonly #nodes: readonly Address[];
  #turn: number;

  constructor(nodes: readonly Address[], access: Access) {
    this.access = access;
    this.#nodes = nodes;
    this.#turn = Math.floor(Math.random() * nodes.length);
  }

  next(): Promise<Address> {
    return Promise.resolve(this.#nodes[this.#turn++ % this.#nodes.length]!);
  }

  async wrong(redis: Redis): Promise<string | undefined> {
    try {
      return seesMajority(String(await redis.call('CLUSTER', 'NODES'))) ? undefined : 'this node does not see most masters of the cluster';
    } catch (error) {
      // It is no cluster. Where asking is not allowed nobody can tell, and a connection that broke tells for itself.
      return error instanceof Error && error.name === 'ReplyError' && !error.message.startsWith('NOPERM') ? error.message : undefined;
    }
  }
}

/** Whether a node, by what it says of the others, is with the majority that alone may decide anything in a cluster: of the masters that hold slots. */
function seesMajority(nodes: string): boolean {
  let masters = 0;
  let seen = 0;
  for (const line of nodes.split('\n')) {
    // id, address, flags, its master, ping, pong, epoch, link, and the slots
    const [, , flags = '', , , , , , slots] = line.split(' ');
    const is = flags.split(',');
    if (!is.includes('master') || slots === undefined) continue;
    masters += 1;
    if (!is.includes('fail') && !is.includes('fail?')) seen += 1;
  }
  return seen * 2 > masters;
}
