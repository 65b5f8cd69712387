import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { BUSES, STORES, type BusName, type StoreName } from './fleet.ts';

export interface RunOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly store: StoreName;
  readonly bus: BusName;
  readonly streams: number;
  /** How many of them are WebSockets; undefined is a share. */
  readonly websockets: number | undefined;
  readonly publishers: number;
  readonly webhooks: number;
  /** Of each instance. */
  readonly workers: number;
  /** Where what was written down goes. */
  readonly history: string | undefined;
}

/** The options are wrong, or none: `message` names the one. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export const USAGE = `npm run chaos -- [options]: three instances behind a load balancer while things go wrong, and whether their clients noticed.

  --minutes N      how long things go wrong; 10 without it. Fractions are allowed
  --seed S         what goes wrong is decided by it, from 0 to ${2 ** 32 - 1}; any without it
  --store NAME     ${STORES.join(' or ')}; ${STORES[0]} without it
  --bus NAME       ${BUSES.join(', ')}; ${BUSES[0]} without it
  --streams N      how many listen; 300 without it
  --websockets N   how many of them are WebSockets; a quarter without it
  --publishers N   how many publish; 8 without it
  --webhooks N     how many webhooks deliver to receivers that fail, hang and are slow; 10 without it
  --workers N      how many workers each instance has; 1 without it. With more, workers are killed and frozen too, there is no Redis, and they talk over their supervisors
  --history FILE   where everything goes that clients wrote down; without it, it is kept only when something was wrong
  --help           prints this

It ends with 0 when everything was right, with 1 when something was wrong, and with 2 when an option is.
`;

/**
 * What the command line asks for; 'help' when that is all it does.
 * @throws UsageError
 */
export function readOptions(args: readonly string[]): RunOptions | 'help' {
  const { values } = parse(args);
  if (values.help === true) return 'help';
  const store = STORES.find((name) => name === values.store);
  if (store === undefined) throw new UsageError(`--store: ${JSON.stringify(values.store)} is none of ${STORES.join(', ')}`);
  const bus = BUSES.find((name) => name === values.bus);
  if (bus === undefined) throw new UsageError(`--bus: ${JSON.stringify(values.bus)} is none of ${BUSES.join(', ')}`);
  const history = values.history;
  if (history === '') throw new UsageError('--history: a file has to be named');
  return {
    minutes: number('minutes', values.minutes, { whole: false, least: 0 }),
    seed: number('seed', values.seed ?? String(randomInt(2 ** 32)), { whole: true, least: 0, most: 2 ** 32 - 1 }),
    store,
    bus,
    streams: number('streams', values.streams, { whole: true, least: 1 }),
    websockets: values.websockets === undefined ? undefined : number('websockets', values.websockets, { whole: true, least: 0 }),
    publishers: number('publishers', values.publishers, { whole: true, least: 1 }),
    webhooks: number('webhooks', values.webhooks, { whole: true, least: 0 }),
    workers: number('workers', values.workers, { whole: true, least: 1, most: 64 }),
    history,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: '10' },
        seed: { type: 'string' },
        store: { type: 'string', default: STORES[0] },
        bus: { type: 'string', default: BUSES[0] },
        streams: { type: 'string', default: '300' },
        websockets: { type: 'string' },
        publishers: { type: 'string', default: '8' },
        webhooks: { type: 'string', default: '10' },
        workers: { type: 'string', default: '1' },
        history: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    // What Node says of it names the option, and in some lines what else to try.
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_')) throw new UsageError(error.message.split('\n')[0]);
    throw error;
  }
}

function number(name: string, text: string, { whole, least, most = Number.MAX_SAFE_INTEGER }: { readonly whole: boolean; readonly least: number; readonly most?: number }): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`;
  throw new UsageError(`--${name}: ${JSON.stringify(text)} is no ${whole ? 'whole ' : ''}number that makes sense there; it must be ${range}`);
}
