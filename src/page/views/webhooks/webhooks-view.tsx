import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { jsonBody, query, type Api, type Index } from '../../api.ts';
import { isKeptOut, useLoad } from '../../load.ts';
import { Chip, Empty, Pages, Raw, Secret, Shown, Table } from '../../parts.tsx';
import { href } from '../../route.ts';
import { age } from '../../text.ts';
import { FirstKey } from '../first-key.tsx';
import { behindText, NEW_DRAFT, outcomeOf, stateOf, type NewWebhook, type Webhook } from './webhook.ts';
import { WebhookForm } from './webhook-form.tsx';
import { WebhookPage } from './webhook-page.tsx';

const WEBHOOKS_EVERY_MS = 5_000;
const PAGE_LENGTH_WEBHOOKS = 50;

interface WebhooksPage {
  readonly webhooks: readonly Webhook[];
  readonly more: boolean;
}

/** The list of webhooks with their states, and the page of one webhook. */
export function WebhooksView({ api, you, subject }: { readonly api: Api; readonly you: Index['you']; readonly subject: string | undefined }): JSX.Element {
  if (!you.administer) return <FirstKey what="Webhooks" />;
  return subject === undefined ? <WebhookList api={api} /> : <WebhookPage key={subject} api={api} id={subject} />;
}

function WebhookList({ api }: { readonly api: Api }): JSX.Element {
  const [after, setAfter] = useState<string>();
  const [made, setMade] = useState<NewWebhook>();
  const page = useLoad((signal) => api.json<WebhooksPage>(`webhooks${query({ after, limit: PAGE_LENGTH_WEBHOOKS })}`, { signal }), after ?? '', WEBHOOKS_EVERY_MS);
  return (
    <>
      <section class="panel" aria-labelledby="webhooks-title">
        <header class="panel-head"><h1 id="webhooks-title">Webhooks</h1></header>
        <Shown of={page}>
          {({ webhooks, more }) => (
            <>
              {webhooks.length === 0 && <Empty title="No webhooks yet: make one below"><p>A webhook sends the messages of topics to a URL, each as a signed POST.</p></Empty>}
              {webhooks.length > 0 && <Table caption="Webhooks" rows={webhooks} keyOf={({ id }) => id} columns={[
                { title: 'Receiver', cell: ({ id, url }) => <><a class="long" href={href('webhooks', id)}><Raw text={url} /></a><span class="sub"><code>{id}</code></span></> },
                { title: 'Topics', cell: ({ topics }) => <Raw className="long" text={topics.join(', ')} /> },
                { title: 'State', cell: (webhook) => <State of={webhook} /> },
                { title: 'Behind', cell: behindText },
                { title: 'Last error', cell: ({ lastError, reason }) => lastError === undefined ? reason ?? '–' : <span class="long">{outcomeOf(lastError)}<span class="sub"><time dateTime={lastError.time} title={lastError.time}>{age(lastError.time)} ago</time></span></span> },
              ]} />}
              <Pages after={after} next={more ? webhooks.at(-1)?.id : undefined} onPage={setAfter} />
            </>
          )}
        </Shown>
      </section>
      {!isKeptOut(page) && <section class="panel" aria-labelledby="new-webhook-title">
        <header class="panel-head"><h1 id="new-webhook-title">New webhook</h1></header>
        {made !== undefined && <Secret secret={made.secret} name="secret">This is the secret of <a href={href('webhooks', made.id)}><Raw text={made.url} /></a>. It is shown this once.</Secret>}
        <WebhookForm first={NEW_DRAFT} isNew action="Make the webhook" send={async (body) => {
          setMade(await api.json<NewWebhook>('webhooks', { method: 'POST', ...jsonBody(body) }));
          page.reload();
        }} />
      </section>}
    </>
  );
}

export function State({ of }: { readonly of: Webhook }): JSX.Element {
  const [tone, text] = stateOf(of);
  return <Chip tone={tone}>{text}</Chip>;
}
