import { members } from '../access/credentials/key-request.ts';
import { Problem } from '../model/problem.ts';
import { Template } from './template.ts';

/** Members of declared files that hooks and connectors have in common. Each function throws a `Problem` that names the member. */

const TTL_MAX_SECONDS = 315_360_000;

export function oneOf<Value extends string>(values: readonly Value[], value: unknown, field: string): Value {
  const found = values.find((one) => one === value);
  if (found === undefined) throw wrong(field, `it must be one of ${values.join(', ')}`);
  return found;
}

export function secretOf(value: unknown, field: string, env: Readonly<Record<string, string | undefined>>): string {
  if (value === undefined || value === null) throw wrong(field, 'it must be a secret, or {"env": "NAME"} with the variable of the environment that has it');
  const { env: name } = members(value, ['env'], field);
  if (typeof name !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw wrong(`${field}.env`, 'it must be the name of a variable of the environment');
  const secret = env[name];
  if (secret === undefined || secret === '') throw wrong(`${field}.env`, `the variable ${name} is not set`);
  return secret;
}

export function optionalTemplate(value: unknown, field: string, fields?: readonly string[]): Template | undefined {
  return value === undefined ? undefined : readTemplate(value, field, fields);
}

export function readTemplate(value: unknown, field: string, fields: readonly string[] = []): Template {
  if (typeof value !== 'string') throw wrong(field, 'it must be a text, such as deploys.{/repository/name}');
  return described(field, () => Template.parse(value, fields));
}

export function readTtl(value: unknown, field: string): number {
  if (value === undefined) return 0;
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > TTL_MAX_SECONDS) throw wrong(field, `it must be a whole number of seconds from 1 to ${TTL_MAX_SECONDS}`);
  return value as number;
}

export function described<Result>(field: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    throw wrong(field, error instanceof Error ? error.message : String(error));
  }
}

export function wrong(field: string, why: string): Problem {
  return new Problem('invalid-request', `${field} is not valid: ${why}.`, { field });
}
