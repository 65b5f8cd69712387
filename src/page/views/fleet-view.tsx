import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Api, Index } from '../api.ts';
import { LastHour } from '../fleet/last-hour.tsx';
import { useLoad, type Loaded } from '../load.ts';
import { Chip, Confirm, Empty, Partial, Raw, Shown } from '../parts.tsx';
import { href } from '../route.ts';
import { Sparkline } from '../sparkline.tsx';
import { age, bytes, count, rate } from '../text.ts';
import { Rebalance } from './rebalance.tsx';

const FLEET_EVERY_MS = 2_000;
/** Stops the charts from growing: with the interval above, ten minutes. */
const CHART_MAX_VALUES = 300;

interface Instance {
  readonly id: string;
  readonly version: string;
  readonly since: string;
  readonly status: 'ready' | 'degraded' | 'starting' | 'draining' | 'unavailable';
  readonly streams: number;
  readonly publishesPerSecond: number;
  readonly deliveriesPerSecond: number;
  readonly loopDelayMs: number;
  readonly position: number;
  readonly lag: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly database: string;
  readonly bus: string;
  readonly host?: string;
  readonly worker?: number;
}
interface Instances {
  readonly instances: readonly Instance[];
  readonly partial?: true;
  readonly missing?: readonly string[];
}
type Figures = Pick<Instance, 'streams' | 'publishesPerSecond' | 'deliveriesPerSecond' | 'loopDelayMs'>;

const TONES = { ready: 'good', degraded: 'warn', starting: 'quiet', draining: 'warn', unavailable: 'bad' } as const;

/** All instances, and how they are. */
export function FleetView({ api, you }: { readonly api: Api; readonly you: Index['you'] }): JSX.Element {
  const seen = useRef(new Map<string, Figures[]>());
  const [draining, setDraining] = useState<Instance>();
  const all = useLoad((signal) => api.json<Instances>('instances', { signal }), 'instances', FLEET_EVERY_MS);
  useEffect(() => {
    for (const instance of all.value?.instances ?? []) {
      const figures = seen.current.get(instance.id) ?? [];
      seen.current.set(instance.id, [...figures, instance].slice(-CHART_MAX_VALUES));
    }
  }, [all.value]);

  return (
    <>
      <Overview all={all} api={api} seen={seen.current} you={you} onDrain={setDraining} />
      {all.value !== undefined && all.value.instances.length > 0 && <LastHour api={api} ids={all.value.instances.map(({ id }) => id)} />}
      {draining !== undefined && (
        <Confirm title="Drain this instance?" action="Drain it" onClose={() => setDraining(undefined)} onConfirm={async () => {
          await api.send(`instances/${encodeURIComponent(draining.id)}/drain`, { method: 'POST' });
          all.reload();
        }}>
          <p><code>{draining.id}</code> sends its {count(draining.streams)} streams away over its drain time, and then ends, as on SIGTERM. What runs it may start it again.</p>
        </Confirm>
      )}
    </>
  );
}

function Overview({ all, api, seen, you, onDrain }: { readonly all: Loaded<Instances>; readonly api: Api; readonly seen: ReadonlyMap<string, readonly Figures[]>; readonly you: Index['you']; readonly onDrain: (instance: Instance) => void }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="fleet-title">
      <header class="panel-head"><h1 id="fleet-title">Fleet</h1>{you.administer && (all.value?.instances.length ?? 0) > 1 && <><span class="spread" /><Rebalance api={api} onDone={all.reload} /></>}</header>
      <Shown of={all}>
        {({ instances, ...rest }) => (
          <>
            <Partial of={rest} />
            <Alone instances={instances} />
            {instances.length === 0 && <Empty title="No instance answered" />}
            <Totals instances={instances} />
            <div class="cards">
              {instances.map((instance) => <Card key={instance.id} instance={instance} seen={seen.get(instance.id) ?? []} you={you} onDrain={() => onDrain(instance)} />)}
            </div>
          </>
        )}
      </Shown>
    </section>
  );
}

/** Without Redis an instance can ask no other one. */
function Alone({ instances }: { readonly instances: readonly Instance[] }): JSX.Element | null {
  const cut = instances.filter(({ bus }) => bus === 'degraded');
  if (cut.length === 0) return null;
  return <p class="note warn" role="status"><span>Redis is away for <code>{cut.map(({ id }) => id).join(', ')}</code>. Messages of other instances come up to a second later, and nothing is lost; how the other instances are cannot be known here meanwhile.</span></p>;
}

function Totals({ instances }: { readonly instances: readonly Instance[] }): JSX.Element | null {
  if (instances.length < 2) return null;
  const sum = (figure: keyof Figures): number => instances.reduce((total, instance) => total + instance[figure], 0);
  return (
    <dl class="figures">
      <div><dt>Instances</dt><dd>{count(instances.length)}</dd></div>
      <div><dt>Streams</dt><dd>{count(sum('streams'))}</dd></div>
      <div><dt>Publishes a second</dt><dd>{rate(sum('publishesPerSecond'))}</dd></div>
      <div><dt>Deliveries a second</dt><dd>{rate(sum('deliveriesPerSecond'))}</dd></div>
    </dl>
  );
}

function Card({ instance, seen, you, onDrain }: { readonly instance: Instance; readonly seen: readonly Figures[]; readonly you: Index['you']; readonly onDrain: () => void }): JSX.Element {
  const { id, version, since, status, lag, residentBytes, heapBytes, database, bus, host, worker } = instance;
  return (
    <article class="card" aria-label={`Instance ${id}`}>
      <header><h2><code>{id}</code></h2><Chip tone={TONES[status]}>{status}</Chip></header>
      <p class="sub">version {version}, for {age(since)}{worker !== undefined && <>, worker {count(worker)} on <Raw text={host ?? ''} /></>}</p>
      <dl class="figures">
        <Figure title="Streams" shown={count(instance.streams)} values={seen.map(({ streams }) => streams)} />
        <Figure title="Publishes a second" shown={rate(instance.publishesPerSecond)} values={seen.map(({ publishesPerSecond }) => publishesPerSecond)} />
        <Figure title="Deliveries a second" shown={rate(instance.deliveriesPerSecond)} values={seen.map(({ deliveriesPerSecond }) => deliveriesPerSecond)} />
        <Figure title="Longest event loop delay" shown={`${count(instance.loopDelayMs)} ms`} values={seen.map(({ loopDelayMs }) => loopDelayMs)} />
        <div><dt>Behind the furthest</dt><dd>{lag === 0 ? 'no' : `${count(lag)} messages`}</dd></div>
        <div><dt>Memory</dt><dd title={`of that ${bytes(heapBytes)} heap`}>{bytes(residentBytes)}</dd></div>
        <div><dt>Database</dt><dd><Chip tone={database === 'up' ? 'good' : 'bad'}>{database}</Chip></dd></div>
        <div><dt>Bus</dt><dd><Chip tone={bus === 'up' ? 'good' : bus === 'local' ? 'quiet' : 'warn'}>{bus}</Chip></dd></div>
      </dl>
      <div class="actions">
        {you.streams && <a class="button small" href={href('streams', undefined, { instance: id })}>Its streams</a>}
        {you.administer && <button type="button" class="small" disabled={status === 'draining'} onClick={onDrain}>Drain</button>}
      </div>
    </article>
  );
}

function Figure({ title, shown, values }: { readonly title: string; readonly shown: string; readonly values: readonly number[] }): JSX.Element {
  return <div><dt>{title}</dt><dd>{shown}<Sparkline values={values} /></dd></div>;
}
