import { members, readPatterns } from '../access/credentials/key-request.ts';
import { parseStructuredFile } from '../config/structured-file.ts';
import { publishProblem, ScopedGrant } from '../model/grant.ts';
import { checkTopic } from '../model/topic.ts';
import { described, oneOf, optionalTemplate, readTemplate, readTtl, secretOf, wrong } from './file-members.ts';
import type { HookPlan } from './plan.ts';
import { checkPointer } from './pointer.ts';
import { SENDERS, type KnownSender, type SenderName } from './senders.ts';
import { HMAC_ALGORITHMS, HMAC_ENCODINGS, type HmacOptions } from './signature.ts';

/** Reads the file that declares hooks: `hooks:` an object, by their names. Secrets are in it, or in variables of the environment that it names. */

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;
/** Stops a secret that can be guessed. Characters. */
const SECRET_MIN_CHARACTERS = 16;
/** The secret before, and the one to come. */
const SECRETS_MAX_ENTRIES = 4;
const HOOKS_MAX_ENTRIES = 1_000;
const HEADER_NAME = /^[A-Za-z0-9-]{1,100}$/;

const MEMBERS = ['from', 'secret', 'user', 'signature', 'timestampHeader', 'publish', 'topic', 'event', 'key', 'each', 'ttl'];

/** @throws Error or Problem that names the member */
export function readHooks(text: string, env: Readonly<Record<string, string | undefined>>): readonly HookPlan[] {
  const { hooks } = members(parseStructuredFile(text), ['hooks']);
  if (typeof hooks !== 'object' || hooks === null || Array.isArray(hooks)) throw wrong('hooks', 'it must be an object: a member for each hook');
  const entries = Object.entries(hooks);
  if (entries.length > HOOKS_MAX_ENTRIES) throw wrong('hooks', `there are more than ${HOOKS_MAX_ENTRIES}`);
  return entries.map(([name, value]) => {
    if (!NAME.test(name)) throw wrong('hooks', `the name of hook ${entries.findIndex(([other]) => other === name) + 1} must be small letters, digits and hyphens, at most 64`);
    return readHook(name, value, env);
  });
}

function readHook(name: string, value: unknown, env: Readonly<Record<string, string | undefined>>): HookPlan {
  const field = `hooks.${name}`;
  const given = members(value, MEMBERS, field);
  const sender = readSender(given['from'], `${field}.from`);
  const known: KnownSender = SENDERS[sender];
  const user = given['user'];
  const signature = given['signature'];
  const timestampHeader = given['timestampHeader'];
  for (const [member, isTaken] of [['user', known.needs?.includes('user')], ['signature', known.needs?.includes('hmac')], ['timestampHeader', sender === 'grafana']] as const) {
    if (isTaken !== true && given[member] !== undefined) throw wrong(`${field}.${member}`, `hooks from ${sender} do not have it`);
  }
  if (known.needs?.includes('user') === true && (typeof user !== 'string' || user === '' || user.includes(':'))) throw wrong(`${field}.user`, 'it must be the name of a user, without a colon');
  const options = {
    user: user as string | undefined,
    hmac: known.needs?.includes('hmac') === true ? readSignature(signature, `${field}.signature`) : undefined,
    timestampHeader: timestampHeader === undefined ? undefined : readHeaderName(timestampHeader, `${field}.timestampHeader`),
  };
  const publish = readPatterns(given['publish'], `${field}.publish`);
  if (publish.length === 0) throw wrong(`${field}.publish`, 'it must be an array of the topics and patterns that the hook may publish to');
  const topic = readTemplate(given['topic'], `${field}.topic`);
  checkTopic(topic.example, `${field}.topic`);
  if (topic.isFixed && publishProblem(new ScopedGrant({ publish, subscribe: [] }), [{ topic: topic.example }]) !== undefined) throw wrong(`${field}.topic`, 'publish does not allow it');
  return {
    name,
    verify: known.verify(readSecrets(given['secret'], `${field}.secret`, env, sender), options),
    isInPath: known.isInPath === true,
    asksFirst: known.asksFirst === true,
    publish,
    topic,
    event: optionalTemplate(given['event'] ?? known.event, `${field}.event`),
    key: optionalTemplate(given['key'] ?? known.key, `${field}.key`),
    each: given['each'] === undefined ? undefined : readPointer(given['each'], `${field}.each`),
    ttl: readTtl(given['ttl'], `${field}.ttl`),
  };
}

function readSender(from: unknown, field: string): SenderName {
  if (typeof from === 'string' && Object.hasOwn(SENDERS, from)) return from as SenderName;
  throw wrong(field, `it must be one of ${Object.keys(SENDERS).join(', ')}`);
}

/** One secret, or several, each as text or as `{"env": "NAME"}`. Nothing of a secret is ever repeated. */
function readSecrets(value: unknown, field: string, env: Readonly<Record<string, string | undefined>>, sender: SenderName): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0 || list.length > SECRETS_MAX_ENTRIES) throw wrong(field, `it must be one secret, or an array of up to ${SECRETS_MAX_ENTRIES}`);
  return list.map((one, index) => {
    const place = Array.isArray(value) ? `${field}[${index}]` : field;
    const secret = typeof one === 'string' ? one : secretOf(one, place, env);
    // All such secrets have the same prefix.
    const guessed = sender === 'standard-webhooks' ? secret.replace(/^whsec_/, '') : secret;
    if (guessed.length < SECRET_MIN_CHARACTERS) throw wrong(place, `the secret must have at least ${SECRET_MIN_CHARACTERS} characters`);
    if (/[^\x20-\x7e]/.test(secret)) throw wrong(place, 'the secret must be printable ASCII');
    if (sender === 'standard-webhooks' && !/^(?:whsec_)?[A-Za-z0-9+/]+={0,2}$/.test(secret)) throw wrong(place, 'the secret must be whsec_ and Base64');
    return secret;
  });
}

function readSignature(value: unknown, field: string): HmacOptions {
  const { header, algorithm = 'sha256', encoding = 'hex', prefix = '' } = members(value ?? {}, ['header', 'algorithm', 'encoding', 'prefix'], field);
  if (typeof prefix !== 'string') throw wrong(`${field}.prefix`, 'it must be the text before the signature');
  return { header: readHeaderName(header, `${field}.header`), algorithm: oneOf(HMAC_ALGORITHMS, algorithm, `${field}.algorithm`), encoding: oneOf(HMAC_ENCODINGS, encoding, `${field}.encoding`), prefix };
}

function readHeaderName(value: unknown, field: string): string {
  if (typeof value !== 'string' || !HEADER_NAME.test(value)) throw wrong(field, 'it must be the name of a header');
  return value;
}

function readPointer(value: unknown, field: string): readonly string[] {
  if (typeof value !== 'string') throw wrong(field, 'it must be a JSON pointer, such as /alerts');
  return described(field, () => checkPointer(value));
}
