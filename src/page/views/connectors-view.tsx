import type { JSX } from 'preact';
import type { Api, Index } from '../api.ts';
import { useLoad } from '../load.ts';
import { Chip, Empty, Raw, Shown, Table } from '../parts.tsx';
import { href } from '../route.ts';
import { age, count } from '../text.ts';
import { FirstKey } from './first-key.tsx';

const CONNECTORS_EVERY_MS = 5_000;

interface Connector {
  readonly name: string;
  readonly kind: 'source' | 'sink';
  readonly of: string;
  readonly place: string;
  readonly deadTopic: string;
  readonly owner?: string;
  readonly cursor?: string;
  readonly state?: 'connecting' | 'up' | 'failing';
  readonly positions?: Readonly<Record<string, string>>;
  readonly behind?: number;
  readonly error?: string;
  readonly failed?: string;
}

const TONES = { connecting: 'warn', up: 'good', failing: 'bad' } as const;
const SYSTEMS: Readonly<Record<string, string>> = { nats: 'NATS', kafka: 'Kafka' };

/** Sources and sinks, and how each is. A file declares them, so nothing is changed here. */
export function ConnectorsView({ api, you }: { readonly api: Api; readonly you: Index['you'] }): JSX.Element {
  return you.administer ? <ConnectorList api={api} /> : <FirstKey what="Connectors" verb="shown to" />;
}

function ConnectorList({ api }: { readonly api: Api }): JSX.Element {
  const all = useLoad((signal) => api.json<{ readonly connectors: readonly Connector[] }>('connectors', { signal }), 'connectors', CONNECTORS_EVERY_MS);
  return (
    <section class="panel" aria-labelledby="connectors-title">
      <header class="panel-head"><h1 id="connectors-title">Connectors</h1></header>
      <Shown of={all}>
        {({ connectors }) => connectors.length === 0
          ? <Empty title="No connectors"><p>A source stores the messages of NATS or Kafka here, and a sink sends messages there. Declare them in a file, name it in <code>CONNECTORS_FILE</code>, and restart.</p></Empty>
          : <Table caption="Connectors" rows={connectors} keyOf={({ name }) => name} columns={[
            { title: 'Name', cell: ({ name, kind, of }) => <>{name}<span class="sub">{kind === 'source' ? 'from' : 'to'} {SYSTEMS[of] ?? of}</span></> },
            { title: 'Place', cell: ({ place }) => <Raw className="long" text={place} /> },
            { title: 'State', cell: (connector) => <State of={connector} /> },
            { title: 'Behind', isNumber: true, cell: ({ behind }) => behind === undefined ? '–' : count(behind) },
            { title: 'Position', cell: Position },
            { title: 'Last error', cell: ({ error, failed, state }) => error === undefined ? '–' : <span class="long"><Raw text={error} />{failed !== undefined && <span class="sub"><time dateTime={failed} title={failed}>{age(failed)} ago</time>{state === 'up' && ', before it was up'}</span>}</span> },
            { title: 'Dead letters', cell: ({ deadTopic }) => <a class="long" href={href('topics', deadTopic)}><Raw text={deadTopic} /></a> },
          ]} />}
      </Shown>
    </section>
  );
}

/** Without an owner the last note may be old. */
function State({ of: { owner, state } }: { readonly of: Connector }): JSX.Element {
  if (owner === undefined || state === undefined) return <Chip tone="quiet">{owner === undefined ? 'no instance runs it' : 'starting'}</Chip>;
  return <><Chip tone={TONES[state]}>{state}</Chip><span class="sub">on <code>{owner}</code></span></>;
}

/** How far a sink has sent, or a source has read each part of the other system. */
function Position({ cursor, positions = {} }: Connector): JSX.Element {
  const parts = Object.entries(positions);
  if (cursor !== undefined) return <code class="long">{cursor}</code>;
  return parts.length === 0 ? <>–</> : <>{parts.map(([part, position]) => <span key={part} class="long"><Raw text={part === '' ? position : `${part}: ${position}`} /><br /></span>)}</>;
}
