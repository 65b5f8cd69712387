import { InvalidArgumentError, type Command } from 'commander';
import { resolve } from 'node:path';
import { isKeyId, makeApiKey } from '../access/credentials/api-key.ts';
import { describeKey, KeyAdministration, type ShownKey } from '../access/credentials/key-administration.ts';
import { LIFETIME_MAX_SECONDS, OVERLAP_MAX_SECONDS, readKeyRequest, readOverlap } from '../access/credentials/key-request.ts';
import { configure } from '../config/config.ts';
import type { DatabaseLocation } from '../config/database-url.ts';
import type { Actor } from '../model/actor.ts';
import { Problem } from '../model/problem.ts';
import { printable } from '../runtime/logging/printable.ts';
import type { KeyRecord, KeyStoreOptions, OpenedKeyStore } from '../store/contracts/key-store.ts';
import { StoreError } from '../store/store.ts';
import { wholeSeconds } from './durations.ts';

/** The keys of one read: bounds the memory of a list. */
const PAGE_KEYS = 500;

/** The name and permissions of a key, as flags give them. */
interface Wishes {
  readonly name: string;
  readonly publish?: readonly string[];
  readonly subscribe?: readonly string[];
  readonly erase?: readonly string[];
  readonly presence?: readonly string[];
  readonly admin?: true;
  readonly operate?: true;
}

/** `tidings keys`: makes and revokes API keys directly in the database. Only the key itself goes to standard output; text for people goes to standard error. */
export function addKeysCommands(program: Command): void {
  const keys = program.command('keys').description('Make, list, rotate and revoke API keys, in the database that DATABASE_URL names.')
    .addHelpText('after', example("tidings keys create --name deploys --publish 'deploys.>'"));

  wishes(keys.command('create').description('Makes a key and prints it. It is shown this once.'))
    .option('--expires <duration>', 'how long it is good, such as 90d or 12h; for ever without it', wholeSeconds(LIFETIME_MAX_SECONDS))
    .addHelpText('after', example("tidings keys create --name deploys --publish 'deploys.>' --expires 90d"))
    .action(async ({ expires, ...wishes }: Wishes & { readonly expires?: number }) => work('make', async (administration) => {
      const request = readKeyRequest({ ...wishes, expiresInSeconds: expires });
      const made = await administration.create(request, operator());
      if (made === undefined) throw new Problem('forbidden', 'There are too many keys: revoke some first.');
      show(made);
    }));

  keys.command('list').description('Lists all keys, revoked and expired ones too.')
    .option('--json', 'one JSON object for each line')
    .addHelpText('after', example('tidings keys list --json'))
    .action(async ({ json }: { readonly json?: true }) => work('find', async (administration) => {
      if (json === undefined) line(HEADINGS);
      for (let after = ''; ;) {
        const page = await administration.list({ after, limit: PAGE_KEYS });
        for (const record of page) process.stdout.write(json === true ? `${JSON.stringify(describeKey(record))}\n` : `${cells(record)}\n`);
        if (page.length < PAGE_KEYS) return;
        after = page.at(-1)!.id;
      }
    }));

  keys.command('rotate').description('Gives a key a new secret and prints the key. It is shown this once.')
    .argument('<id>', 'the id of the key: the part between the two underscores', keyId)
    .option('--overlap <duration>', 'how long the old secret stays good, such as 1h; it ends at once without it', wholeSeconds(OVERLAP_MAX_SECONDS))
    .addHelpText('after', example('tidings keys rotate 3k9f2m7q1x8d --overlap 1h'))
    .action(async (id: string, { overlap }: { readonly overlap?: number }) => work('find', async (administration) => {
      const rotated = there(await administration.rotate(id, readOverlap({ overlapSeconds: overlap }), operator()), id);
      const until = rotated.record.secrets[1]?.expires;
      say(until === undefined ? 'the old secret has ended' : `the old secret is good until ${time(until)}`);
      show(rotated);
    }));

  keys.command('revoke').description('Ends a key for good.')
    .argument('<id>', 'the id of the key', keyId)
    .addHelpText('after', example('tidings keys revoke 3k9f2m7q1x8d'))
    .action(async (id: string) => work('find', async (administration) => {
      const { name } = there(await administration.revoke(id, operator()), id);
      say(`the key ${id} (${printable(name)}) is revoked; running instances refuse it, and end its streams, within POLL_MS`);
    }));

  wishes(keys.command('declare').description('Makes a key for a file (ACCESS_FILE), and touches no database: prints the key, and to standard error its entry.'))
    .addHelpText('after', example("tidings keys declare --name ci --publish 'deploys.>' > ci.key 2> access.yaml"))
    .action((wishes: Wishes) => reportProblems(() => {
      const { name, permissions } = readKeyRequest(wishes);
      const { id, text, digest } = makeApiKey();
      process.stderr.write(`# A file for ACCESS_FILE. In a file that has keys, add its last line.\nkeys:\n  - ${JSON.stringify({ id, sha256: digest.toString('hex'), name, ...permissions })}\n`);
      process.stdout.write(`${text}\n`);
      return Promise.resolve();
    }));
}

function example(line: string): string {
  return `\nExample:\n  $ ${line}\n`;
}

/** Adds the flags for a key's name and permissions. */
function wishes(command: Command): Command {
  return command
    .requiredOption('--name <name>', 'what the key is for')
    .option('--publish <patterns...>', 'topics and patterns that it may publish to')
    .option('--subscribe <patterns...>', 'topics and patterns that it may read')
    .option('--erase <patterns...>', 'topics and patterns whose messages it may erase')
    .option('--presence <patterns...>', 'topics and patterns of which it may see who listens')
    .option('--operate', 'it may read metrics, the details of readiness and the description of the service')
    .option('--admin', 'it may do what --operate allows, make and revoke keys, erase and see who listens everywhere, administer webhooks, streams and instances, revoke tokens, and see connectors');
}

/** Runs a command on the keys in the database of the settings. With `make` it creates a missing database, for the first key. */
function work(way: 'make' | 'find', ask: (administration: KeyAdministration) => Promise<void>): Promise<void> {
  return reportProblems(async () => {
    const location = configure().DATABASE_URL;
    if (location.kind === 'sqlite') say(resolve(location.file));
    else say(location.shown);
    const store = await openKeys(location, { isMaking: way === 'make' });
    try {
      if (store.isNew) say('there was no log: a new, empty one was made. If there should be one, DATABASE_URL is wrong');
      await ask(new KeyAdministration({ store, logger: { info: () => undefined }, onChange: () => Promise.resolve() }));
    } finally {
      await store.close();
    }
  });
}

async function reportProblems(task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    if (error instanceof Problem) {
      say(error.message);
      process.exitCode = 2;
    } else if (error instanceof StoreError) {
      say(`DATABASE_URL: ${error.message}`);
      process.exitCode = 1;
    } else throw error;
  }
}

/** Loads only the driver of the database that is used. */
async function openKeys(location: DatabaseLocation, options: KeyStoreOptions): Promise<OpenedKeyStore> {
  if (location.kind === 'sqlite') return (await import('../store/sqlite/open-key-store.ts')).openKeyStore(location.file, options);
  return (await import('../store/postgres/open-key-store.ts')).openKeyStore(location.url, options);
}

function show({ record, text }: ShownKey): void {
  say(`the key ${record.id} (${printable(record.name)}) ${record.expires === undefined ? 'does not expire' : `expires ${time(record.expires)}`}; keep it now, it is not shown again:`);
  process.stdout.write(`${text}\n`);
}

const HEADINGS = ['id', 'state', 'created', 'last used', 'expires', 'admin', 'operate', 'name', 'publish', 'subscribe', 'erase', 'presence'].join('\t');

function cells({ id, name, permissions: { publish, subscribe, erase = [], presence = [], admin, operate }, created, lastUsed, expires, revoked }: KeyRecord): string {
  const state = revoked !== undefined ? 'revoked' : expires !== undefined && expires <= Date.now() ? 'expired' : 'good';
  return [id, state, time(created), lastUsed === undefined ? '-' : time(lastUsed), expires === undefined ? '-' : time(expires), admin ? 'yes' : 'no', operate ? 'yes' : 'no', printable(name), printable(publish.join(' ')) || '-', printable(subscribe.join(' ')) || '-', printable(erase.join(' ')) || '-', printable(presence.join(' ')) || '-'].join('\t');
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 16).replace('T', ' ');
}

function there<Result>(result: Result | undefined, id: string): Result {
  if (result === undefined) throw new Problem('not-found', `There is no key ${id}, or it has ended.`);
  return result;
}

export function keyId(text: string): string {
  if (!isKeyId(text)) throw new InvalidArgumentError('An id has 12 letters and digits: the part of the key between the two underscores.');
  return text;
}

function operator(): Actor {
  return { name: 'the command line' };
}

function say(sentence: string): void {
  process.stderr.write(`${sentence}\n`);
}

function line(text: string): void {
  process.stdout.write(`${text}\n`);
}
