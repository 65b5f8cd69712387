import type { JSX } from 'preact';
import { kindOf, type Schema } from './api-document.ts';
import { Inline } from './prose.tsx';

/** Stops a schema that has itself in it from filling the page. */
const DEPTH_MAX_LEVELS = 8;

/** What a body has in it, member by member. */
export function SchemaTree({ schema, level = 0 }: { readonly schema: Schema; readonly level?: number }): JSX.Element | null {
  if (level > DEPTH_MAX_LEVELS) return null;
  const { properties, items, anyOf, additionalProperties, required = [] } = schema;
  if (anyOf !== undefined) return <ul class="schema">{anyOf.map((one, place) => <li key={place}><Kind of={one} /><SchemaTree schema={one} level={level + 1} /></li>)}</ul>;
  if (items !== undefined) return <SchemaTree schema={items} level={level + 1} />;
  if (properties === undefined) return typeof additionalProperties === 'object' ? <SchemaTree schema={additionalProperties} level={level + 1} /> : null;
  return (
    <ul class="schema">
      {Object.entries(properties).map(([name, member]) => (
        <li key={name}>
          <code>{name}</code> <Kind of={member} isRequired={required.includes(name)} />
          <SchemaTree schema={member} level={level + 1} />
        </li>
      ))}
    </ul>
  );
}

export function Kind({ of, isRequired = false }: { readonly of: Schema; readonly isRequired?: boolean }): JSX.Element {
  return <><span class="kind">{kindOf(of)}{isRequired && ', required'}</span>{of.description !== undefined && <> <span class="told"><Inline text={of.description} /></span></>}</>;
}
