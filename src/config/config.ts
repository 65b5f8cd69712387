import { readFileSync } from 'node:fs';
import { printable } from '../runtime/logging/printable.ts';
import { DotenvError, parseDotenv } from './dotenv.ts';
import { nearestSetting } from './near-names.ts';
import { fileVariable, readSecretFile } from './secret-file.ts';
import { WrongValue, type Setting } from './setting-kinds.ts';
import { SETTINGS, type SettingName } from './settings.ts';

/**
 * This room reads the operator's settings. Environment variables and the file `.env` come in; one frozen, typed object goes out. No other room reads the
 * environment. A wrong value keeps the process from booting: the operator gets one line for each, which never shows a password.
 *
 * Read settings.ts (all settings, with defaults and bounds) and setting-kinds.ts (a setting is a type, a default and a reader) first. The other files are readers of single settings,
 * or of files: dotenv.ts, secret-file.ts, structured-file.ts.
 */

/** The checked value of every setting, under the setting's name. The name or the table of settings gives its unit. */
export type Config = { readonly [Name in SettingName]: ReturnType<(typeof SETTINGS)[Name]['read']> };

export interface ConfigOptions {
  /** The path of the file `.env`; it need not exist. false reads none. */
  readonly dotenv: string | false;
  /** Called with a line for each variable whose name is nearly a setting's. By default, nobody gets these lines. */
  readonly warn?: (line: string) => void;
}

/** Some settings are wrong, so the process must not boot. Has one line for each wrong value. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join('\n'));
    this.lines = lines;
  }
}

/** Calls `read`. If that throws a `ConfigError`, writes its lines to standard error and ends the process. */
export function exitIfWrong<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const line of error.lines) process.stderr.write(`${line}\n`);
    process.exit(1);
  }
}

/** The cache of `configure`. */
let configured: Config | undefined;

/**
 * Returns the settings of this process. Reads them at the first call, and writes a line to standard error for each variable whose name is nearly a setting's. Wrong
 * values end the process.
 */
export function configure(): Config {
  return configured ??= exitIfWrong(() => readConfig(process.env, { dotenv: '.env', warn: (line) => process.stderr.write(`${line}\n`) }));
}

/**
 * Reads the settings from the environment and from the file `.env` (the environment wins). A variable that is set but
 * empty counts as unset.
 * @throws ConfigError
 */
export function readConfig(environment: NodeJS.ProcessEnv, { dotenv, warn = () => undefined }: ConfigOptions): Config {
  const given = readTexts(environment, dotenv);
  // A warning rather than an error: the variable may be another program's.
  for (const [name, value = ''] of Object.entries(given)) {
    const meant = nearestSetting(name, value);
    if (meant !== undefined) warn(`${printable(name)}: no setting has this name, so it has no effect; did you mean ${meant}?`);
  }
  const lines: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries<Setting<unknown>>(SETTINGS)) {
    const path = setting.secret ? given[fileVariable(name)]?.trim() || undefined : undefined;
    const variable = path === undefined ? name : fileVariable(name);
    let text = given[name]?.trim() ?? '';
    try {
      if (path !== undefined && text !== '') throw new WrongValue(`${name} is set, too; set only one of the two`);
      text = (path === undefined ? text : readSecretFile(path, name)) || setting.default;
      values[name] = setting.read(text);
    } catch (error) {
      if (!(error instanceof WrongValue)) throw error;
      const said = setting.secret ? 'the value given (not shown, it may hold a password)' : JSON.stringify(text);
      lines.push(error.message === '' ? `${variable}: ${said} is not allowed; it must be ${setting.allowed}` : `${variable}: ${error.message}`);
    }
  }
  // A URL of Redis in BUS_URL means the same as in REDIS_URL. So other rooms look only at REDIS_URL for Redis.
  if (values['REDIS_URL'] !== undefined && values['BUS_URL'] !== undefined) lines.push('BUS_URL: REDIS_URL is set, too; set only one of the two');
  else if (/^redis/i.test(String(values['BUS_URL']))) Object.assign(values, { REDIS_URL: values['BUS_URL'], BUS_URL: undefined });
  const config = values as Config;
  lines.push(...contradictions(config));
  if (lines.length > 0) throw new ConfigError(lines);
  return Object.freeze(config);
}

/** The unchecked texts of the environment and of the file `.env`. */
function readTexts(environment: NodeJS.ProcessEnv, dotenv: string | false): Readonly<Record<string, string | undefined>> {
  if (dotenv === false) return environment;
  try {
    return { ...parseDotenv(readFileSync(dotenv)), ...environment };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return environment;
    if (error instanceof DotenvError) throw new ConfigError([`${dotenv}: ${error.message}`]);
    throw new ConfigError([`${dotenv}: it cannot be read (${error instanceof Error ? error.message : String(error)})`]);
  }
}

/** The most bytes that a message takes of a quota beyond its data: its topic and fields, rounded up. */
const QUOTA_MESSAGE_BYTES = 1_024;

/** Returns lines about values that are wrong only together with another value. A value that is wrong alone is missing in `config`. */
function contradictions(config: Partial<Config>): string[] {
  const lines: string[] = [];
  lines.push(...jwtContradictions(config));
  const { PORT, OPS_PORT, OPS_HOST } = config;
  if (OPS_PORT !== undefined && OPS_PORT !== 0 && OPS_PORT === PORT) lines.push(`OPS_PORT: ${OPS_PORT} is PORT, too; set another one`);
  if (OPS_PORT === undefined && Object.hasOwn(config, 'OPS_PORT') && OPS_HOST !== undefined && OPS_HOST !== SETTINGS.OPS_HOST.default) lines.push(`OPS_HOST: nothing listens on ${OPS_HOST}; set OPS_PORT as well`);
  for (const name of ['TOPIC_RETENTION_SHARE', 'CREDENTIAL_RETENTION_SHARE'] as const) {
    const { [name]: share = 0, RETENTION_BYTES, MESSAGE_BYTES } = config;
    if (share === 0 || RETENTION_BYTES === undefined) continue;
    if (RETENTION_BYTES === 0) lines.push(`${name}: RETENTION_BYTES is 0, so there is nothing to have a share of; set RETENTION_BYTES as well`);
    else if (MESSAGE_BYTES !== undefined && MESSAGE_BYTES + QUOTA_MESSAGE_BYTES > RETENTION_BYTES * share / 100) lines.push(`${name}: ${share} percent of RETENTION_BYTES, which is ${RETENTION_BYTES}, has no room for a message of MESSAGE_BYTES, which is ${MESSAGE_BYTES}`);
  }
  const ordered: readonly (readonly [SettingName, SettingName, string])[] = [
    ['RETRY_MIN_MS', 'RETRY_MAX_MS', 'the shortest time is longer than the longest'],
    ['MESSAGE_BYTES', 'BATCH_BYTES', 'a batch could not hold the largest message'],
    ['BATCH_BYTES', 'APPEND_QUEUE_BYTES', 'the largest batch could never be stored'],
    ['BATCH_BYTES', 'REQUEST_BYTES', 'the largest batch could never be received'],
    ['BATCH_MESSAGES', 'APPEND_QUEUE_MESSAGES', 'the largest batch could never be stored'],
  ];
  for (const [smaller, larger, why] of ordered) {
    const [low, high] = [config[smaller], config[larger]];
    if (typeof low === 'number' && typeof high === 'number' && low > high) {
      lines.push(`${smaller}: ${low} is more than ${larger}, which is ${high}: ${why}`);
    }
  }
  return lines;
}

/** The settings that name the keys of tokens. */
const TOKEN_KEYS = ['JWT_SECRET', 'JWT_PUBLIC_KEY', 'JWT_JWKS_URL'] as const;

function jwtContradictions(config: Partial<Config>): string[] {
  if (TOKEN_KEYS.some((name) => !Object.hasOwn(config, name))) return [];
  const sources = TOKEN_KEYS.filter((name) => config[name] !== undefined);
  const expected = (['JWT_ISSUER', 'JWT_AUDIENCE'] as const).filter((name) => config[name] !== undefined);
  // With two settings, a token could choose the weaker key.
  if (sources.length > 1) return [`${sources[0]}: it is set together with ${sources.slice(1).join(' and ')}; set one of them, because tokens come from one issuer`];
  if (sources.length === 0) return expected.map((name) => `${name}: nothing checks tokens; set JWT_SECRET, JWT_PUBLIC_KEY or JWT_JWKS_URL as well`);
  // Large providers sign the tokens of all their customers with the same keys.
  if (sources[0] === 'JWT_JWKS_URL' && expected.length === 0) return ['JWT_JWKS_URL: others may have tokens signed with the same keys; set JWT_ISSUER or JWT_AUDIENCE as well'];
  return [];
}
