import type * as Validator from 'ajv';
import type { FastifySchemaCompiler } from 'fastify';
import { createRequire } from 'node:module';
import type { TSchema } from 'typebox';
import { Problem, type ProblemCode } from '../../model/problem.ts';
import type { Query } from './query-string.ts';

/**
 * Checks of the values that a client sent. The files of this room read the headers, the query string and the body of a request. They hand out
 * what the service understands: drafts, idempotency keys, filters, and where reading starts. A mistake becomes a `Problem` that
 * names the field; nothing here answers. A body stays bytes, because its source text is what the log stores.
 *
 * This file checks values against schemas: what the queries of URLs say, and the messages of a batch.
 */

/** Parts of a request whose problems have a code of their own. */
const CODES: Readonly<Record<string, ProblemCode>> = {
  topic: 'invalid-topic',
  event: 'invalid-event',
  data: 'invalid-data',
  ttl: 'invalid-ttl',
  eventHeader: 'invalid-event',
  idempotencyKey: 'invalid-key',
  idempotencyHeader: 'invalid-key',
  lastEventId: 'invalid-cursor',
  after: 'invalid-cursor',
  since: 'invalid-cursor',
  last: 'invalid-cursor',
};

const require = createRequire(import.meta.url);
let ajv: Validator.Ajv | undefined;

/** Loads the validator, some eighty modules, at its first use rather than at the start. With `require`, because a check is synchronous and cannot wait for an import. */
function validator(): Validator.Ajv {
  if (ajv === undefined) {
    const { Ajv } = require('ajv') as typeof Validator;
    // The schemas are our own. To check them too would make the first check wait for 40 ms more.
    ajv = new Ajv({ meta: false, validateSchema: false });
    // topic-filter.ts counts topics: its problem names the setting.
    ajv.removeKeyword('maxItems').addKeyword('maxItems');
  }
  return ajv;
}

/** Loads the validator, so that no first check waits for it. */
export function loadValidator(): void {
  validator().compile({});
}

/**
 * Makes a check of values from outside. The check returns a problem that names the wrong member, or undefined.
 * @param schema The schema of an object.
 * @param otherwise The code for members without a code of their own.
 */
export function checker(schema: TSchema, otherwise: ProblemCode): (value: unknown) => Problem | undefined {
  let validate: Validator.ValidateFunction | undefined;
  return (value) => {
    // To compile all schemas at the start would take a fifth of the time that it takes.
    validate ??= validator().compile(schema);
    if (validate(value)) return undefined;
    const { keyword, params, instancePath, message = 'is not valid' } = validate.errors![0]!;
    if (keyword === 'additionalProperties') {
      const field = String(params['additionalProperty']);
      return new Problem(otherwise, `${field} is not known here.`, { field });
    }
    if (keyword === 'required') {
      const field = String(params['missingProperty']);
      return new Problem(CODES[field] ?? otherwise, `${field} is missing.`, { field });
    }
    const field = instancePath.split('/')[1];
    const why = keyword === 'enum' ? `must be one of ${(params['allowedValues'] as readonly string[]).join(', ')}` : message;
    return field === undefined ? new Problem(otherwise, `It ${why}.`) : new Problem(CODES[field] ?? otherwise, `${field} ${why}.`, { field });
  };
}

const WHOLE_NUMBER = /^[0-9]{1,15}$/;

/**
 * Checks what the query of a URL says against the schema of the route. A text becomes a number or a list only where the schema
 * wants one. It must also be written as one: the usual conversions take `true` for 1.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  // Path and headers are texts, without a check here. Routes read their bodies themselves.
  if (httpPart !== 'querystring') return () => true;
  const { properties = {} } = schema as { readonly properties?: Readonly<Record<string, { readonly type?: string }>> };
  const check = checker(schema, 'invalid-request');
  const numbers = Object.keys(properties).filter((name) => properties[name]!.type === 'integer');
  const lists = Object.keys(properties).filter((name) => properties[name]!.type === 'array');
  return (given: Query) => {
    const value: Record<string, unknown> = { ...given };
    for (const name of numbers) if (typeof given[name] === 'string' && WHOLE_NUMBER.test(given[name])) value[name] = Number(given[name]);
    for (const name of lists) if (typeof given[name] === 'string') value[name] = [given[name]];
    const problem = check(value);
    return problem === undefined ? { value } : { error: problem };
  };
};
