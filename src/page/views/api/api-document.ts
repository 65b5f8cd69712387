import { shellQuoted } from '../../text.ts';

/** The OpenAPI document as the view needs it, and requests that follow it. */

export interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
}

type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly description?: string;
  readonly schema?: Schema;
}

export interface Answer {
  readonly description: string;
  readonly content?: Content;
  readonly headers?: Readonly<Record<string, { readonly description?: string }>>;
}

export interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, Answer>>;
}

export interface OpenApi {
  readonly info: { readonly description?: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** One method at one path. */
export interface Endpoint {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

/** All that is there, but for HEAD, which is GET without a body. Parameters that a request needs come first. */
export function endpointsOf({ paths }: OpenApi): readonly Endpoint[] {
  return Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).filter(([method]) => method !== 'head').map(([method, operation]) => ({
    path, method: method.toUpperCase(), operation: { ...operation, parameters: (operation.parameters ?? []).toSorted((one, other) => Number(other.required ?? false) - Number(one.required ?? false)) },
  })));
}

/** What a value is, in a few words: `integer, 1 to 500`. */
export function kindOf({ type, format, enum: values, const: only, minimum, maximum, minItems, maxItems, items, anyOf, additionalProperties }: Schema): string {
  if (only !== undefined) return JSON.stringify(only);
  if (values !== undefined) return values.map((value) => JSON.stringify(value)).join(' or ');
  if (anyOf !== undefined) return 'one of these';
  if (type === 'array') return [`array of ${items === undefined ? 'anything' : kindOf(items)}`, between(minItems, maxItems)].filter((word) => word !== '').join(', ');
  if (type === 'object' && typeof additionalProperties === 'object') return `object of ${kindOf(additionalProperties)}`;
  return [type ?? 'anything', format ?? '', between(minimum, maximum)].filter((word) => word !== '').join(', ');
}

function between(least: number | undefined, most: number | undefined): string {
  if (least !== undefined && most !== undefined) return `${least} to ${most}`;
  if (least !== undefined) return `at least ${least}`;
  return most === undefined ? '' : `at most ${most}`;
}

/** A request as somebody filled it in. */
export interface Filled {
  readonly values: Readonly<Record<string, string>>;
  /** The content type of its body; undefined where it has none. */
  readonly type?: string | undefined;
  readonly body?: string | undefined;
}

export interface Prepared {
  readonly method: string;
  /** Relative to the service. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The request, or a sentence that says why it cannot be sent. A parameter that was left empty is left out. */
export function prepared({ method, path, operation: { parameters = [] } }: Endpoint, { values, type, body }: Filled): Prepared | string {
  const search = new URLSearchParams();
  const headers: Record<string, string> = {};
  let filled = path;
  for (const parameter of parameters) {
    const { name } = parameter;
    const value = values[keyOf(parameter)] ?? '';
    if (value === '') continue;
    if (parameter.in === 'header') headers[name] = value;
    else if (parameter.in === 'path') {
      // A browser takes these for a step in the path.
      if (value === '.' || value === '..') return `${name}: a path cannot have ${value} as a part.`;
      filled = filled.replace(`{${name}}`, encodeURIComponent(value));
    } else if (parameter.schema?.type === 'array') for (const word of value.split(/\s+/).filter((part) => part !== '')) search.append(name, word);
    else search.set(name, value);
  }
  const query = search.toString();
  return {
    method, path: `${filled.replace(/^\//, '')}${query === '' ? '' : `?${query}`}`,
    headers: { ...headers, ...(type === undefined ? {} : { 'content-type': type }) }, ...(type === undefined || body === undefined ? {} : { body }),
  };
}

/** A parameter may stand in a header and in the query under one name. */
export function keyOf({ in: place, name }: Parameter): string {
  return `${place} ${name}`;
}

/** The same request for a shell. @param credential What curl says of the credential. */
export function curlOf({ method, path, headers, body }: Prepared, base: string, credential: string): string {
  const url = shellQuoted(`${base}${path}`);
  const parts = Object.entries(headers).map(([name, value]) => `-H ${shellQuoted(`${name}: ${value}`)} `).join('');
  const how = method === 'GET' ? '' : method === 'POST' && body !== undefined ? '' : `-X ${method} `;
  return `curl ${headers['accept'] === 'text/event-stream' ? '-N ' : ''}${credential}${how}${parts}${body === undefined ? '' : `--data-binary ${shellQuoted(body)} `}${url}`;
}

/** A value to begin with where a body is JSON. */
export function exampleOf(schema: Schema, level = 0): unknown {
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.anyOf !== undefined) return exampleOf(schema.anyOf[0] ?? {}, level);
  switch (schema.type ?? '') {
    case 'object': return Object.fromEntries(Object.entries(schema.properties ?? {}).filter(([name]) => schema.required?.includes(name) === true).map(([name, member]) => [name, level < EXAMPLE_LEVELS ? exampleOf(member, level + 1) : null]));
    case 'array': return schema.items === undefined || level >= EXAMPLE_LEVELS ? [] : [exampleOf(schema.items, level + 1)];
    case 'string': return '';
    case 'integer': case 'number': return schema.minimum ?? 0;
    case 'boolean': return false;
    default: return 'hello, world';
  }
}

/** Stops an example from becoming longer than its explanation. */
const EXAMPLE_LEVELS = 4;
