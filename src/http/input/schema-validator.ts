import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Problem } from '../../model/problem.ts';
import type { Query } from './query-string.ts';
import { checker } from './validation.ts';

const WHOLE_NUMBER = /^[0-9]{1,15}$/;

/**
 * Checks what a URL and headers say against the schema of the route. Texts become numbers and lists only where the schema
 * wants them and the text is one, unlike in the usual conversions, for which `true` is 1 and `1.5` too. Bodies are read by
 * their routes: they are bytes, whose source text must be kept.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  if (httpPart === 'body') return () => true;
  const { properties = {} } = schema as { readonly properties?: Readonly<Record<string, { readonly type?: string }>> };
  const check = checker(schema, 'invalid-request');
  const numbers = Object.keys(properties).filter((name) => properties[name]!.type === 'integer');
  const lists = Object.keys(properties).filter((name) => properties[name]!.type === 'array');
  const singles = Object.keys(properties).filter((name) => properties[name]!.type !== 'array');
  return (given: Query) => {
    const value: Record<string, unknown> = { ...given };
    const twice = httpPart === 'querystring' ? singles.find((name) => Array.isArray(given[name])) : undefined;
    if (twice !== undefined) return { error: new Problem('invalid-request', `${twice} was given more than once.`, { field: twice }) };
    for (const name of numbers) if (typeof given[name] === 'string' && WHOLE_NUMBER.test(given[name])) value[name] = Number(given[name]);
    for (const name of lists) if (typeof given[name] === 'string') value[name] = [given[name]];
    const problem = check(value);
    return problem === undefined ? { value } : { error: problem };
  };
};
