import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { BASE, type Api } from '../../api.ts';
import { useLoad } from '../../load.ts';
import { Empty, Shown } from '../../parts.tsx';
import { endpointsOf, type OpenApi } from './api-document.ts';
import { OperationDetails } from './operation-details.tsx';
import { Prose } from './prose.tsx';

/**
 * The OpenAPI document: parameters, bodies, answers, errors, and requests to try. No viewer of others is used. The page's policy lets no text become HTML and makes no Trusted Types policy:
 * swagger-ui 5.35 then shows an error only, and openapi-explorer 2.4 nothing. They are 458 and 222 KB with gzip; this one is 5.
 */
export function ApiView({ api }: { readonly api: Api }): JSX.Element {
  const document = useLoad((signal) => api.json<OpenApi>('openapi.json', { signal }), 'openapi');
  return (
    <section class="panel" aria-labelledby="api-title">
      {document.value === undefined && <h1 id="api-title">API</h1>}
      <Shown of={document}>{(openApi) => <Endpoints api={api} document={openApi} />}</Shown>
    </section>
  );
}

function Endpoints({ api, document }: { readonly api: Api; readonly document: OpenApi }): JSX.Element {
  const [filter, setFilter] = useState('');
  const endpoints = useMemo(() => endpointsOf(document), [document]);
  const all = endpoints.filter(({ path, method, operation: { summary = '' } }) => `${method} ${path} ${summary}`.toLowerCase().includes(filter.trim().toLowerCase()));
  return (
    <>
      <header class="panel-head">
        <h1 id="api-title">API</h1>
        <input type="search" class="filter" aria-label="Filter" placeholder="Filter" value={filter} onInput={(event) => setFilter(event.currentTarget.value)} />
        <span class="spread" />
        <a class="button" href={`${BASE}openapi.json`}>OpenAPI JSON</a>
      </header>
      {document.info.description !== undefined && <details class="more"><summary>Control events, and the codes of errors</summary><Prose text={document.info.description} /></details>}
      {all.length === 0 && <Empty title="Nothing in the API has that in it" />}
      {document.tags.map(({ name, description }) => {
        const some = all.filter(({ operation }) => operation.tags?.[0] === name);
        return some.length > 0 && <section key={name} class="operations"><h2>{name}</h2><p class="sub">{description}</p>{some.map((one) => <OperationDetails key={`${one.method} ${one.path}`} api={api} endpoint={one} />)}</section>;
      })}
    </>
  );
}
