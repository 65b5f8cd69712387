import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Api } from '../../api.ts';
import type { Answer, Endpoint } from './api-document.ts';
import { Inline } from './prose.tsx';
import { Kind, SchemaTree } from './schema-tree.tsx';
import { TryIt } from './try-it.tsx';

/** One method at one path. The document is large, so nothing is built before it is opened. */
export function OperationDetails({ api, endpoint }: { readonly api: Api; readonly endpoint: Endpoint }): JSX.Element {
  const { method, path, operation: { summary } } = endpoint;
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="operation" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary><span class={`method ${method.toLowerCase()}`}>{method}</span> <code>{path}</code> <span class="sub">{summary}</span></summary>
      {isOpen && <Contents api={api} endpoint={endpoint} />}
    </details>
  );
}

function Contents({ api, endpoint }: { readonly api: Api; readonly endpoint: Endpoint }): JSX.Element {
  const { parameters = [], requestBody, responses } = endpoint.operation;
  const answers = Object.entries(responses);
  return (
    <div class="operation-contents">
      {parameters.length > 0 && (
        <section>
          <h3>Parameters</h3>
          <ul class="schema">{parameters.map(({ name, in: place, required = false, description, schema = {} }) => (
            <li key={place + name}><code>{name}</code> <span class="kind">in the {place},</span> <Kind isRequired={required} of={description === undefined ? schema : { ...schema, description }} /></li>
          ))}</ul>
        </section>
      )}
      {requestBody !== undefined && (
        <section>
          <h3>Body{requestBody.required === true && ', required'}</h3>
          {Object.entries(requestBody.content).map(([type, { schema = {} }]) => <div key={type}><code>{type}</code> <Kind of={schema} /><SchemaTree schema={schema} /></div>)}
        </section>
      )}
      <section>
        <h3>Answers</h3>
        {answers.filter(([status]) => !isError(status)).map(([status, answer]) => <GoodAnswer key={status} status={status} answer={answer} />)}
      </section>
      <section>
        <h3>Errors</h3>
        <ul class="schema">{answers.filter(([status]) => isError(status)).map(([status, { description }]) => <li key={status}><code>{status}</code> <span class="told"><Inline text={description} /></span></li>)}</ul>
      </section>
      <TryIt api={api} endpoint={endpoint} />
    </div>
  );
}

function GoodAnswer({ status, answer: { description, content = {}, headers = {} } }: { readonly status: string; readonly answer: Answer }): JSX.Element {
  return (
    <div>
      <p><code>{status}</code> <span class="told"><Inline text={description} /></span></p>
      {Object.entries(headers).map(([name, { description: told = '' }]) => <p key={name} class="told">Header <code>{name}</code>: <Inline text={told} /></p>)}
      {Object.entries(content).map(([type, { schema = {} }]) => <div key={type}><span class="kind">{type}</span><SchemaTree schema={schema} /></div>)}
    </div>
  );
}

function isError(status: string): boolean {
  return status >= '400';
}
