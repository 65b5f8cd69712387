import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { BASE, type Api } from '../api.ts';
import { useLoad } from '../load.ts';
import { Empty, Shown } from '../parts.tsx';

interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean; readonly description?: string }[];
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}
interface OpenApi {
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** The OpenAPI document, as a list. */
export function ApiView({ api }: { readonly api: Api }): JSX.Element {
  const document = useLoad((signal) => api.json<OpenApi>('openapi.json', { signal }), 'openapi');
  const [filter, setFilter] = useState('');
  return (
    <section class="panel" aria-labelledby="api-title">
      <header class="panel-head">
        <h1 id="api-title">API</h1>
        <input type="search" class="filter" aria-label="Filter" placeholder="Filter" value={filter} onInput={(event) => setFilter(event.currentTarget.value)} />
        <span class="spread" />
        <a class="button" href={`${BASE}openapi.json`}>OpenAPI JSON</a>
      </header>
      <Shown of={document}>
        {({ tags, paths }) => {
          const all = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).filter(([method]) => method !== 'head').map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })))
            .filter(({ path, method, operation: { summary = '' } }) => `${method} ${path} ${summary}`.toLowerCase().includes(filter.toLowerCase()));
          return (
            <>
              {all.length === 0 && <Empty title="Nothing in the API has that in it" />}
              {tags.map(({ name, description }) => {
                const some = all.filter(({ operation }) => operation.tags?.[0] === name);
                return some.length > 0 && <section key={name} class="operations"><h2>{name}</h2><p class="sub">{description}</p>{some.map((one) => <OperationDetails key={one.method + one.path} {...one} />)}</section>;
              })}
            </>
          );
        }}
      </Shown>
    </section>
  );
}

function OperationDetails({ path, method, operation: { summary, parameters = [], responses } }: { readonly path: string; readonly method: string; readonly operation: Operation }): JSX.Element {
  return (
    <details class="operation">
      <summary><span class="method">{method}</span> <code>{path}</code> <span class="sub">{summary}</span></summary>
      {parameters.length > 0 && <dl>{parameters.map((parameter) => <div key={parameter.in + parameter.name}><dt><code>{parameter.name}</code> <span class="sub">{parameter.in}{parameter.required === true && ', required'}</span></dt><dd>{parameter.description}</dd></div>)}</dl>}
      <dl>{Object.entries(responses).map(([status, { description }]) => <div key={status}><dt><code>{status}</code></dt><dd>{description}</dd></div>)}</dl>
    </details>
  );
}
