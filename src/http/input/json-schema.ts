import type { TSchema, Type as TypeBox } from 'typebox';

/**
 * JSON Schemas, with the types of TypeBox, which makes the same of them. TypeBox itself is nearly 700 modules: to load them took a quarter
 * of what an instance needs to start, and 20 MB.
 */

type Builder = Pick<typeof TypeBox, 'String' | 'Integer' | 'Number' | 'Boolean' | 'Null' | 'Unknown' | 'Literal' | 'Array' | 'Object' | 'Record' | 'Optional' | 'Union'>;

/** Schemas whose member may be missing. */
const optional = new WeakSet<object>();

function typed(type: string) {
  return (options?: object): object => ({ type, ...options });
}

export const Type = {
  String: typed('string'),
  Integer: typed('integer'),
  Number: typed('number'),
  Boolean: typed('boolean'),
  Null: typed('null'),
  Unknown: (options?: object) => ({ ...options }),
  Literal: (value: string | number | boolean, options?: object) => ({ type: typeof value, const: value, ...options }),
  Array: (items: TSchema, options?: object) => ({ type: 'array', items, ...options }),
  Object: (properties: Readonly<Record<string, TSchema>>, options?: object) => {
    const required = Object.keys(properties).filter((name) => !optional.has(properties[name]!));
    return { type: 'object', ...(required.length > 0 ? { required } : {}), properties, ...options };
  },
  Record: (_names: TSchema, values: TSchema, options?: object) => ({ type: 'object', patternProperties: { '^.*$': values }, ...options }),
  Optional: (schema: TSchema) => {
    const copy = { ...schema };
    optional.add(copy);
    return copy;
  },
  Union: (anyOf: readonly TSchema[], options?: object) => ({ anyOf, ...options }),
  // The types of TypeBox name members that exist for the compiler only. A test compares the schemas.
} as unknown as Builder;
