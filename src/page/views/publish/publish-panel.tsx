import type { JSX } from 'preact';
import { useEffect, useReducer, useState } from 'preact/hooks';
import { messageOf, query, topicPath, type Api } from '../../api.ts';
import type { Feed } from '../../feed/feed.ts';
import { CopyButton, ErrorNote, Field, Raw } from '../../parts.tsx';
import { clock, plural, visible } from '../../text.ts';
import { draftOf, EVERYTHING, isEverything, withSent, type Draft, type PublishState, type Sent } from './draft.ts';
import { RepeatForm } from './repeat-form.tsx';

/** The list shows this much of each sent message. */
const SHOWN_DATA_CHARACTERS = 80;

/** Why the data is no JSON; undefined if it is JSON. */
function jsonFault(data: string): string | undefined {
  try {
    JSON.parse(data);
    return undefined;
  } catch (error) {
    return data.trim() === '' ? 'JSON cannot be empty: "" is an empty text.' : messageOf(error);
  }
}

/** One message in; the answer, and the messages sent before. The draft is the application's, so that it outlives this view. */
export function PublishPanel({ api, mayReport, feed, state, onState }: { readonly api: Api; readonly mayReport: boolean; readonly feed: Feed | undefined; readonly state: PublishState; readonly onState: (change: (before: PublishState) => PublishState) => void }): JSX.Element {
  const { draft, sent, allowed = EVERYTHING } = state;
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const set = (change: Partial<Draft>): void => onState((before) => ({ ...before, draft: { ...before.draft, ...change } }));
  const fault = draft.isJson ? jsonFault(draft.data) : undefined;

  const keep = (done: Sent): void => onState((before) => withSent(before, done));

  const publish = async (what: Draft): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      keep(await send(api, what, mayReport));
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };

  /** In the list, the first message of a repetition stands for all of its messages. */
  const repeated = (): (signal: AbortSignal) => Promise<void> => {
    let isFirst = true;
    return async (signal) => {
      const done = await send(api, draft, false, signal);
      if (isFirst) keep(done);
      isFirst = false;
    };
  };

  return (
    <section class="panel publish" aria-labelledby="publish-title">
      <header class="panel-head"><h1 id="publish-title">Publish</h1></header>
      <form onSubmit={(event) => {
        event.preventDefault();
        void publish(draft);
      }}>
        <div class="pair">
          <Field label="Topic" hint={isEverything(allowed) ? undefined : <>You may publish to: <Raw text={allowed.join(', ')} /></>}>{(attributes) => <input {...attributes} required value={draft.topic} spellcheck={false} autocapitalize="off" autocomplete="off" onInput={(event) => set({ topic: event.currentTarget.value })} />}</Field>
          <Field label="Event (optional)">{(attributes) => <input {...attributes} value={draft.event} placeholder="message" spellcheck={false} autocapitalize="off" autocomplete="off" onInput={(event) => set({ event: event.currentTarget.value })} />}</Field>
        </div>
        <fieldset class="kinds">
          <legend>Data</legend>
          <label class="check"><input type="radio" name="kind" checked={draft.isJson} onChange={() => set({ isJson: true })} /> JSON</label>
          <label class="check"><input type="radio" name="kind" checked={!draft.isJson} onChange={() => set({ isJson: false })} /> Text</label>
          <span class={`said ${fault === undefined ? 'good' : 'bad'}`} role="status">{draft.isJson ? fault === undefined ? 'good JSON' : visible(fault) : ''}</span>
        </fieldset>
        <textarea aria-label="Data" rows={5} spellcheck={false} value={draft.data} onInput={(event) => set({ data: event.currentTarget.value })} />
        <details class="more">
          <summary>Time to live, idempotency key</summary>
          <div class="pair">
            <Field label="Time to live, in seconds">{(attributes) => <input {...attributes} inputMode="numeric" pattern="[0-9]*" value={draft.ttl} placeholder="for as long as history is kept" onInput={(event) => set({ ttl: event.currentTarget.value })} />}</Field>
            <Field label="Idempotency key">{(attributes) => <input {...attributes} value={draft.key} placeholder="none" spellcheck={false} autocomplete="off" onInput={(event) => set({ key: event.currentTarget.value })} />}</Field>
          </div>
        </details>
        <div class="actions"><button type="submit" class="main" disabled={isBusy || fault !== undefined}>Publish</button></div>
      </form>
      {error !== undefined && <ErrorNote error={error} />}
      {error === undefined && sent[0] !== undefined && <Outcome sent={sent[0]} feed={feed} />}
      <RepeatForm isGood={fault === undefined && draft.topic !== ''} begin={repeated} />
      {sent.length > 0 && (
        <details class="more" open>
          <summary>Sent before</summary>
          <ul class="sent">
            {sent.map((one) => (
              <li key={one.id + one.time}>
                <button type="button" class="plain" title="Take it as the next draft" onClick={() => set(draftOf(one))}>
                  <time dateTime={one.time}>{clock(one.time)}</time> <Raw className="row-topic" text={one.topic} /> <Raw className="row-text" text={one.data.slice(0, SHOWN_DATA_CHARACTERS)} />
                </button>
                <button type="button" class="small" disabled={isBusy} aria-label={`Send again, to ${visible(one.topic)}`} onClick={() => void publish(draftOf(one))}>Send again</button>
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

async function send(api: Api, draft: Draft, mayReport: boolean, signal?: AbortSignal): Promise<Sent> {
  const answer = await api.send(topicPath(draft.topic, query({ event: draft.event, report: mayReport ? '1' : undefined })), {
    method: 'POST', body: draft.data, ...(signal === undefined ? {} : { signal }),
    headers: {
      'content-type': draft.isJson ? 'application/json' : 'text/plain; charset=utf-8',
      ...(draft.ttl === '' ? {} : { ttl: draft.ttl }),
      ...(draft.key === '' ? {} : { 'idempotency-key': draft.key }),
    },
  });
  const { id, time, report } = await answer.json() as Pick<Sent, 'id' | 'time'> & { readonly report?: NonNullable<Sent['report']> };
  return { ...draft, id, time, isReplayed: answer.headers.get('idempotency-replayed') === 'true', ...(report === undefined ? {} : { report }) };
}

function Outcome({ sent: { id, isReplayed, report }, feed }: { readonly sent: Sent; readonly feed: Feed | undefined }): JSX.Element {
  const [, draw] = useReducer((turn: number) => turn + 1, 0);
  useEffect(() => feed?.onChange(() => draw(undefined)), [feed]);
  return (
    <div class="note good outcome" role="status">
      <span>
        {isReplayed ? 'Stored before, with this key' : 'Stored'} as <code>{id}</code>
        {report !== undefined && <>; reached {plural(report.streams, 'stream')} on {plural(report.instances, 'instance')}{report.partial === true && ', or more'}</>}
        {feed?.log.has(id) === true && <>; it has come back in the feed</>}
      </span>
      <CopyButton className="small" text={id} label="Copy id" />
    </div>
  );
}
