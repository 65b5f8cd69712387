import type { Redis } from 'ioredis';
import type { Access, Address, ClusterLocation } from '../../config/redis-url.ts';
import type { ServerDiscovery } from './discovery-contract.ts';

/** The index of the first slot in the fields of a line of CLUSTER NODES (https://redis.io/docs/latest/commands/cluster-nodes). */
const FIRST_SLOT_PLACES = 8;

/** Finds the node of a cluster that has a key. Connects to a node of the URL first; if another node has the key, connects to that node next. */
export class SlotDiscovery implements ServerDiscovery {
  readonly access: Access;
  readonly #nodes: readonly Address[];
  readonly #key: string;
  #turn: number;
  /** The node that has the key, as the last node said. It is for the next attempt only, because it may be dead. */
  #named: Address | undefined;

  constructor({ nodes, access }: ClusterLocation, key: string) {
    this.access = access;
    this.#nodes = nodes;
    this.#key = key;
    this.#turn = Math.floor(Math.random() * nodes.length);
  }

  next(): Promise<Address> {
    const next = this.#named ?? this.#nodes[this.#turn++ % this.#nodes.length]!;
    this.#named = undefined;
    return Promise.resolve(next);
  }

  async reasonToLeave(redis: Redis): Promise<string | undefined> {
    try {
      const slot = Number(await redis.call('CLUSTER', 'KEYSLOT', this.#key));
      const holder = holderOf(slot, String(await redis.call('CLUSTER', 'NODES')));
      if (holder?.isAsked === true) return undefined;
      this.#named = holder?.address;
      return 'another node of the cluster has the keys of this log';
    } catch (error) {
      // The server is no cluster. A connection that broke reports that itself.
      return error instanceof Error && error.name === 'ReplyError' ? error.message : undefined;
    }
  }

  async close(): Promise<void> {
    // It has no connection of its own.
  }
}

interface Holder {
  /** Whether it is the node that answered. */
  readonly isAsked: boolean;
  readonly address: Address | undefined;
}

/** The master that has a slot. @param nodes The answer to CLUSTER NODES. */
function holderOf(slot: number, nodes: string): Holder | undefined {
  for (const line of nodes.split('\n')) {
    const fields = line.split(' ');
    const flags = fields[2]?.split(',') ?? [];
    if (flags.includes('master') && fields.slice(FIRST_SLOT_PLACES).some((range) => hasSlot(range, slot))) return { isAsked: flags.includes('myself'), address: addressIn(fields[1] ?? '') };
  }
  return undefined;
}

/** @param range `5461-10922` or `5461`. Migrating slots are in brackets, and never match. */
function hasSlot(range: string, slot: number): boolean {
  const [first, last = first] = range.split('-', 2).map(Number);
  return first !== undefined && last !== undefined && first <= slot && slot <= last;
}

/** `10.0.0.1:6379@16379`, in newer versions with a host name: `10.0.0.1:6379@16379,redis-1.example.com`. */
function addressIn(text: string): Address | undefined {
  const [node = '', name = ''] = text.split(',');
  const [, ip = '', port] = /^(.*):(\d+)(?:@\d+)?$/.exec(node) ?? [];
  const host = name === '' || name.includes('=') ? ip : name;
  return host === '' || port === undefined ? undefined : { host, port: Number(port) };
}
