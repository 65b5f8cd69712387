import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { BASE, type Api } from '../../api.ts';
import { credential } from '../../feed/copy-as.ts';
import { Chip, Command, ErrorNote, Field } from '../../parts.tsx';
import { count, jsonText, visible } from '../../text.ts';
import { curlOf, exampleOf, keyOf, prepared, type Endpoint, type Filled, type Parameter, type Prepared } from './api-document.ts';

/** Stops a long answer, or a stream that somebody left open, from filling the page. */
const SHOWN_ANSWER_CHARACTERS = 64 * 1024;
/** Of every answer: they say nothing of this one. */
const NEVER_SHOWN: ReadonlySet<string> = new Set(['connection', 'content-security-policy', 'cross-origin-resource-policy', 'date', 'keep-alive', 'referrer-policy', 'x-content-type-options']);

interface Got {
  readonly status: number;
  readonly ms: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly text: string;
  readonly isCut: boolean;
  readonly isOpen: boolean;
}

/** Sends a request as the document describes it, with the credential that is signed in, and shows the answer. */
export function TryIt({ api, endpoint }: { readonly api: Api; readonly endpoint: Endpoint }): JSX.Element {
  const { method, operation: { parameters = [], requestBody, responses } } = endpoint;
  const types = Object.keys(requestBody?.content ?? {});
  const [filled, setFilled] = useState<Filled>(() => ({ values: {}, type: types[0], body: firstBody(endpoint, types[0]) }));
  const [got, setGot] = useState<Got>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const running = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => running.current?.abort(), []);
  const isStream = responses['200']?.content?.['text/event-stream'] !== undefined;
  const request = withAccept(prepared(endpoint, filled), isStream);

  const send = async (wanted: Prepared): Promise<void> => {
    running.current?.abort();
    const abort = running.current = new AbortController();
    setBusy(true);
    setError(undefined);
    setGot(undefined);
    try {
      await receive(api, wanted, abort, setGot);
    } catch (failure) {
      if (!abort.signal.aborted) setError(failure);
    }
    if (running.current === abort) setBusy(false);
  };

  return (
    <section class="try">
      <h3>Try it</h3>
      <p class="told">This is a real request, {api.token === undefined ? 'without a key' : 'with the key or token that you signed in with'}{method === 'GET' ? '' : ', and it may change something'}.</p>
      <form onSubmit={(event) => {
        event.preventDefault();
        if (typeof request !== 'string') void send(request);
      }}>
        {parameters.length > 0 && <div class="question">{parameters.map((parameter) => <Value key={keyOf(parameter)} of={parameter} value={filled.values[keyOf(parameter)] ?? ''} onValue={(value) => setFilled({ ...filled, values: { ...filled.values, [keyOf(parameter)]: value } })} />)}</div>}
        {types.length > 0 && (
          <>
            <Field label="Content type">{(attributes) => <select {...attributes} value={filled.type} onChange={(event) => setFilled({ ...filled, type: event.currentTarget.value, body: firstBody(endpoint, event.currentTarget.value) })}>{types.map((type) => <option key={type} value={type}>{type}</option>)}</select>}</Field>
            <Field label="Body">{(attributes) => <textarea {...attributes} rows={4} spellcheck={false} value={filled.body} onInput={(event) => setFilled({ ...filled, body: event.currentTarget.value })} />}</Field>
          </>
        )}
        {typeof request === 'string' ? <p class="note warn" role="status">{visible(request)}</p> : <Command text={curlOf(request, BASE, credential(api.token !== undefined))} />}
        <div class="actions">
          <button type="submit" class="main" disabled={isBusy || typeof request === 'string'}>Send</button>
          {isBusy && <button type="button" onClick={() => running.current?.abort()}>Stop</button>}
        </div>
      </form>
      {error !== undefined && <ErrorNote error={error} />}
      {got !== undefined && <Result of={got} />}
    </section>
  );
}

function Value({ of: { name, in: place, required = false, schema }, value, onValue }: { readonly of: Parameter; readonly value: string; readonly onValue: (value: string) => void }): JSX.Element {
  const label = `${name}${required ? '' : ' (optional)'}`;
  const options = schema?.enum;
  return (
    <Field label={place === 'header' ? `header ${label}` : label}>
      {(attributes) => options === undefined
        ? <input {...attributes} required={required} value={value} placeholder={schema?.type === 'array' ? 'separated by spaces' : ''} spellcheck={false} autocapitalize="off" autocomplete="off" onInput={(event) => onValue(event.currentTarget.value)} />
        : <select {...attributes} required={required} value={value} onChange={(event) => onValue(event.currentTarget.value)}><option value="">–</option>{options.map((option) => <option key={String(option)} value={String(option)}>{String(option)}</option>)}</select>}
    </Field>
  );
}

function Result({ of: { status, ms, headers, text, isCut, isOpen } }: { readonly of: Got }): JSX.Element {
  return (
    <div class="result">
      <p role="status"><Chip tone={status < 400 ? 'good' : 'bad'}>{status}</Chip> after {count(ms)} ms{isOpen && '; it is open still'}{isCut && `; only the first ${count(SHOWN_ANSWER_CHARACTERS)} characters are shown`}</p>
      <dl class="facts">{headers.map(([name, value]) => <><dt key={name}>{name}</dt><dd><code>{visible(value)}</code></dd></>)}</dl>
      {text !== '' && <div class="data" tabindex={0} role="region" aria-label="The answer"><pre>{visible(text)}</pre></div>}
    </div>
  );
}

function firstBody({ operation: { requestBody } }: Endpoint, type: string | undefined): string {
  const schema = type === undefined ? undefined : requestBody?.content[type]?.schema;
  if (schema === undefined || type === undefined) return '';
  if (type.startsWith('text/')) return 'hello, world';
  return jsonText(exampleOf(schema), type === 'application/json' ? 2 : undefined) ?? '';
}

function withAccept(request: Prepared | string, isStream: boolean): Prepared | string {
  return typeof request === 'string' || !isStream ? request : { ...request, headers: { ...request.headers, accept: 'text/event-stream' } };
}

/** Shows the answer as it comes: a stream has no end. */
async function receive(api: Api, { method, path, headers, body }: Prepared, abort: AbortController, show: (got: Got) => void): Promise<void> {
  const begun = performance.now();
  const answer = await api.request(path, { method, headers: { accept: '*/*', ...headers }, signal: abort.signal, isStream: true, ...(body === undefined ? {} : { body }) });
  const shown = { status: answer.status, ms: Math.round(performance.now() - begun), headers: [...answer.headers].filter(([name]) => !NEVER_SHOWN.has(name)) };
  const isJson = /[/+]json\b/.test(answer.headers.get('content-type') ?? '');
  let text = '';
  const tell = (isOpen: boolean): void => show({ ...shown, text: isJson && !isOpen ? indented(text) : text.slice(0, SHOWN_ANSWER_CHARACTERS), isCut: text.length > SHOWN_ANSWER_CHARACTERS, isOpen });
  if (answer.body === null) return tell(false);
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      tell(true);
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
      if (text.length > SHOWN_ANSWER_CHARACTERS) break;
    }
  } finally {
    tell(false);
    await reader.cancel().catch(() => undefined);
  }
}

/** JSON with a line for each member, where it is whole and short enough to be read so. */
function indented(text: string): string {
  if (text.length > SHOWN_ANSWER_CHARACTERS) return text.slice(0, SHOWN_ANSWER_CHARACTERS);
  try {
    return jsonText(JSON.parse(text), 2) ?? text;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
