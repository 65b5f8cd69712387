import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError, jsonBody, type Api } from '../../api.ts';
import { useLoad } from '../../load.ts';
import { Chip, Empty, Raw, Secret, Shown, Table } from '../../parts.tsx';
import { href } from '../../route.ts';
import { age, count, plural, timeOfDay } from '../../text.ts';
import { behindText, draftOf, isMessage, isTaken, outcomeOf, stateOf, type Attempt, type NewWebhook, type Webhook } from './webhook.ts';
import { WebhookDialog, type Deed } from './webhook-dialogs.tsx';
import { WebhookForm } from './webhook-form.tsx';

const WEBHOOK_EVERY_MS = 5_000;

/** Stops a phone from scrolling past a hundred cards. */
const ATTEMPTS_SHOWN_ENTRIES = 20;

/** The answer to a test delivery. */
type Tested = Pick<Attempt, 'status' | 'error' | 'milliseconds' | 'answer'> & { readonly delivered: boolean };

interface Told {
  readonly isGood: boolean;
  readonly text: string;
}

/** One webhook: its state, its attempts, and the buttons that change it. */
export function WebhookPage({ api, id }: { readonly api: Api; readonly id: string }): JSX.Element {
  const path = `webhooks/${encodeURIComponent(id)}`;
  const loaded = useLoad(async (signal) => {
    const [webhook, { attempts }] = await Promise.all([api.json<Webhook>(path, { signal }), api.json<{ readonly attempts: readonly Attempt[] }>(`${path}/attempts`, { signal })]);
    return { webhook, attempts };
  }, id, WEBHOOK_EVERY_MS);
  const [isChanging, setChanging] = useState(false);
  const [deed, setDeed] = useState<Deed>();
  const [rotated, setRotated] = useState<NewWebhook>();
  const [told, setTold] = useState<Told>();
  const [isBusy, setBusy] = useState(false);
  const isGone = loaded.error instanceof ApiError && loaded.error.status === 404;

  /** The request of a button, and the sentence shown after it. */
  const act = async (task: () => Promise<Told>): Promise<void> => {
    setBusy(true);
    try {
      setTold(await task());
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setTold({ isGood: false, text: `${error.message} (${error.code})` });
    }
    setBusy(false);
    loaded.reload();
  };
  const post = (what: 'pause' | 'resume', text: string): Promise<void> => act(async () => {
    await api.send(`${path}/${what}`, { method: 'POST' });
    return { isGood: true, text };
  });
  const test = (): Promise<void> => act(async () => {
    const { delivered, milliseconds, answer, ...outcome } = await api.json<Tested>(`${path}/test`, { method: 'POST' });
    return { isGood: delivered, text: `The test was ${delivered ? '' : 'not '}delivered: ${outcomeOf(outcome)} in ${count(milliseconds)} ms.${answer === undefined ? '' : ` The answer begins: ${answer}`}` };
  });

  if (isGone) return <section class="panel" aria-labelledby="webhook-title"><h1 id="webhook-title">There is no such webhook</h1><p>It may have been deleted. <a href={href('webhooks')}>All webhooks</a></p></section>;
  return (
    <>
      <section class="panel" aria-labelledby="webhook-title">
        <header class="panel-head">
          <h1 id="webhook-title" class="long">{loaded.value === undefined ? 'Webhook' : <Raw text={loaded.value.webhook.url} />}</h1>
          {loaded.value !== undefined && <Chip tone={stateOf(loaded.value.webhook)[0]}><span role="status">{stateOf(loaded.value.webhook)[1]}</span></Chip>}
          <span class="spread" />
          <a class="button" href={href('webhooks')}>All webhooks</a>
        </header>
        {rotated !== undefined && <Secret secret={rotated.secret} name="secret">This is the new secret. It is shown this once.</Secret>}
        {told !== undefined && <p class={`note ${told.isGood ? 'good' : 'bad'}`} role={told.isGood ? 'status' : 'alert'}><Raw className="long" text={told.text} /></p>}
        <Shown of={loaded}>
          {({ webhook }) => (
            <>
              <Facts of={webhook} />
              {!isChanging && (
                <div class="actions">
                  <button type="button" disabled={isBusy} onClick={() => void test()}>Send a test</button>
                  {webhook.status === 'active'
                    ? <button type="button" disabled={isBusy} onClick={() => void post('pause', 'It is paused. Its cursor stays.')}>Pause</button>
                    : <button type="button" disabled={isBusy} onClick={() => void post('resume', 'It goes on from its cursor.')}>Resume</button>}
                  <button type="button" onClick={() => setChanging(true)}>Change</button>
                  <button type="button" onClick={() => setDeed('replay')}>Replay</button>
                  <button type="button" onClick={() => setDeed('rotate')}>Rotate its secret</button>
                  <button type="button" onClick={() => setDeed('delete')}>Delete</button>
                </div>
              )}
              {isChanging && <WebhookForm first={draftOf(webhook)} isNew={false} action="Change it" onCancel={() => setChanging(false)} send={async (body) => {
                await api.send(path, { method: 'PATCH', ...jsonBody(body) });
                setChanging(false);
                setTold({ isGood: true, text: 'It is changed, and goes on from its cursor.' });
                loaded.reload();
              }} />}
              {deed !== undefined && <WebhookDialog api={api} path={path} webhook={webhook} deed={deed} onClose={() => setDeed(undefined)} onRotated={(made) => {
                setRotated(made);
                loaded.reload();
              }} onDone={(text) => {
                setTold({ isGood: true, text });
                loaded.reload();
              }} />}
            </>
          )}
        </Shown>
      </section>
      <section class="panel" aria-labelledby="attempts-title">
        <header class="panel-head"><h1 id="attempts-title">Attempts</h1></header>
        {loaded.value !== undefined && <Attempts of={loaded.value.attempts} />}
      </section>
    </>
  );
}

function Facts({ of }: { readonly of: Webhook }): JSX.Element {
  const { id, topics, events, format, deadTopic, cursor, failures, failingSince, nextAttempt, lastError, reason, owner, oldSecretUntil, created } = of;
  return (
    <dl class="facts">
      <dt>Id</dt><dd><code>{id}</code></dd>
      {reason !== undefined && <><dt>Why</dt><dd>{reason}</dd></>}
      <dt>Topics</dt><dd><Raw text={topics.join(', ')} /></dd>
      <dt>Events</dt><dd>{events === undefined ? 'every event' : <Raw text={events.join(', ')} />}</dd>
      <dt>Format</dt><dd>{format === 'cloudevents' ? 'CloudEvents 1.0' : 'JSON: the message'}</dd>
      <dt>Dead letters</dt><dd><a href={href('topics', deadTopic)}><Raw text={deadTopic} /></a></dd>
      <dt>Behind</dt><dd>{behindText(of)}{(of.behind ?? 0) > 0 && ', of other topics too'}</dd>
      <dt>Cursor</dt><dd><code>{cursor}</code></dd>
      {failures > 0 && <><dt>Failures in a row</dt><dd>{count(failures)}{failingSince !== undefined && <>, since <Moment of={failingSince} /></>}</dd></>}
      {nextAttempt !== undefined && of.status === 'active' && <><dt>Next attempt</dt><dd><time dateTime={nextAttempt} title={nextAttempt}>{timeOfDay(Date.parse(nextAttempt))}</time></dd></>}
      {lastError !== undefined && <><dt>Last error</dt><dd>{outcomeOf(lastError)}, <Moment of={lastError.time} /></dd></>}
      {oldSecretUntil !== undefined && <><dt>Secret before</dt><dd>signs, too, until <time dateTime={oldSecretUntil}>{oldSecretUntil}</time></dd></>}
      {owner !== undefined && <><dt>Delivered by</dt><dd><code>{owner}</code></dd></>}
      <dt>Made</dt><dd><Moment of={created} /></dd>
    </dl>
  );
}

function Moment({ of }: { readonly of: string }): JSX.Element {
  return <time dateTime={of} title={of}>{age(of)} ago</time>;
}

function Attempts({ of }: { readonly of: readonly Attempt[] }): JSX.Element {
  const [isWhole, setWhole] = useState(false);
  if (of.length === 0) return <Empty title="Nothing was attempted yet" />;
  const older = of.length - ATTEMPTS_SHOWN_ENTRIES;
  return (
    <>
      <Table caption="Attempts" rows={isWhole ? of : of.slice(0, ATTEMPTS_SHOWN_ENTRIES)} keyOf={({ number }) => String(number)} columns={[
        { title: 'When', cell: ({ time }) => <Moment of={time} /> },
        { title: 'Outcome', cell: (attempt) => <Chip tone={isTaken(attempt) ? 'good' : 'bad'}>{outcomeOf(attempt)}</Chip> },
        { title: 'Took', isNumber: true, cell: ({ milliseconds }) => `${count(milliseconds)} ms` },
        { title: 'Delivery', cell: ({ delivery }) => isMessage(delivery) ? <a href={href('messages', delivery)}><code>{delivery}</code></a> : <code>{delivery}</code> },
        { title: 'Answer', cell: ({ answer }) => answer === undefined ? '–' : <Raw className="long" text={answer} /> },
      ]} />
      {older > 0 && !isWhole && <div class="actions"><button type="button" onClick={() => setWhole(true)}>{plural(older, 'older attempt')}</button></div>}
    </>
  );
}
