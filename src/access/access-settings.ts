import { readFileSync } from 'node:fs';
import { ConfigError, type Config } from '../config/config.ts';
import { isLoopback } from '../config/loopback.ts';
import { parseStructuredFile } from '../config/structured-file.ts';
import { Problem } from '../model/problem.ts';
import type { KeyRecord } from '../store/contracts/key-store.ts';
import type { AccessSettings } from './access.ts';
import { isKeyId } from './credentials/api-key.ts';
import { members, readName, readPatterns, readPermissions } from './credentials/key-request.ts';

/** The checked settings of access: the topics that they name, and the keys that the file `ACCESS_FILE` declares. */
export interface DeclaredAccess {
  readonly settings: AccessSettings;
  /** By their ids. */
  readonly declared: ReadonlyMap<string, KeyRecord>;
}

type TokenConfig = Pick<Config, 'JWT_SECRET' | 'JWT_PUBLIC_KEY' | 'JWT_JWKS_URL'>;
type AccessConfig = TokenConfig & Pick<Config, 'AUTH' | 'HOST' | 'PUBLIC_TOPICS' | 'PUBLIC_PUBLISH' | 'ACCESS_FILE'>;

/** Whether a setting names a key that checks tokens. */
export function hasTokenKeys({ JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL }: TokenConfig): boolean {
  return (JWT_SECRET ?? JWT_PUBLIC_KEY ?? JWT_JWKS_URL) !== undefined;
}

/** The fault in the value of a setting, or in the file that it names: with the place in it, once. */
export function settingLine(setting: string, error: unknown): string {
  const message = messageOf(error);
  const field = error instanceof Problem ? error.field : undefined;
  const line = field === undefined || message.startsWith(field) ? message : `${field}: ${message}`;
  return line.startsWith(setting) ? line : `${setting}: ${line}`;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  return syscall === undefined ? error.message : `${path === undefined ? 'the file' : `the file ${path}`} cannot be read (${code}); name a file that this user can read`;
}

/** @throws ConfigError with a line for each value that is wrong */
export function readAccess(config: AccessConfig): DeclaredAccess {
  const lines: string[] = [];
  const collect = <Result>(setting: string, read: () => Result, otherwise: Result): Result => {
    try {
      return read();
    } catch (error) {
      lines.push(settingLine(setting, error));
      return otherwise;
    }
  };
  const { AUTH, HOST, ACCESS_FILE, PUBLIC_TOPICS, PUBLIC_PUBLISH } = config;
  const publicTopics = collect('PUBLIC_TOPICS', () => readPatterns(PUBLIC_TOPICS, 'PUBLIC_TOPICS'), []);
  const publicPublish = collect('PUBLIC_PUBLISH', () => readPatterns(PUBLIC_PUBLISH, 'PUBLIC_PUBLISH'), []);
  const declared = collect('ACCESS_FILE', () => ACCESS_FILE === undefined ? new Map<string, KeyRecord>() : readAccessFile(readFileSync(ACCESS_FILE, 'utf8')), new Map<string, KeyRecord>());
  if (lines.length > 0) throw new ConfigError(lines);
  const namesAccess = hasTokenKeys(config) || ACCESS_FILE !== undefined || publicTopics.length > 0 || publicPublish.length > 0;
  const mode = AUTH === '' ? (isLoopback(HOST) && !namesAccess ? 'loopback' : 'on') : AUTH;
  return { settings: { mode, publicTopics, publicPublish, needsKeys: mode === 'on' && AUTH === '' && !namesAccess }, declared };
}

const DIGEST = /^[0-9a-f]{64}$/;

/**
 * Reads a file of keys, JSON or YAML: `keys:` a list of `id`, `sha256` (of the secret, hexadecimal), `name`, `publish`, `subscribe`, `erase`, `presence`, `admin`, `operate`. It holds no secrets, so it can be kept with the rest of
 * the configuration.
 * @throws Error or Problem that names the member
 */
function readAccessFile(text: string): ReadonlyMap<string, KeyRecord> {
  const { keys } = members(parseStructuredFile(text), ['keys']);
  if (!Array.isArray(keys)) throw new Error('keys must be a list');
  const records = keys.map((key: unknown, index): KeyRecord => {
    const field = `keys[${index}]`;
    const given = members(key, ['id', 'sha256', 'name', 'publish', 'subscribe', 'erase', 'presence', 'admin', 'operate'], field);
    const { id, sha256 } = given;
    if (typeof id !== 'string' || !isKeyId(id)) throw new Error(`${field}.id must be the id of a key, as npx tidings keys declare prints it`);
    if (typeof sha256 !== 'string' || !DIGEST.test(sha256)) throw new Error(`${field}.sha256 must be 64 hexadecimal digits, as npx tidings keys declare prints them`);
    return {
      id, name: readName(given['name'], `${field}.name`), permissions: readPermissions(given, field), secrets: [{ digest: Buffer.from(sha256, 'hex'), expires: undefined }],
      created: 0, expires: undefined, revoked: undefined, lastUsed: undefined,
    };
  });
  const byId = new Map(records.map((record) => [record.id, record]));
  if (byId.size < records.length) throw new Error(`keys: the id ${records.find((record) => byId.get(record.id) !== record)?.id ?? ''} is there twice`);
  return byId;
}
