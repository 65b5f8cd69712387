import type { JSX } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, mayPass, query, type Api } from '../api.ts';
import { useLoad } from '../load.ts';
import { Chip, Empty, Shown, Table } from '../parts.tsx';
import { bytes, count, plural, rate, timeOfDay, visible } from '../text.ts';
import { Chart, type ChartLine } from './chart.tsx';
import { extremes, FigureHistory, shownTime, type Charted, type InstanceHistory, type LastHour as Answer, type Warning } from './figure-history.ts';
import type * as Plots from './plot.ts';

/** An instance takes figures every 10 s. */
const HISTORY_EVERY_MS = 10_000;
/** Instances in one chart. Stops lines from hiding each other, and answers from filling the bus: every instance hears each of them. */
const CHART_MAX_ENTRIES = 6;
/** Warnings that are shown before somebody asks for more. */
const SHOWN_WARNINGS_ENTRIES = 10;

const CHARTS: readonly { readonly figure: Charted; readonly title: string; readonly format: (value: number) => string; readonly isBytes?: true }[] = [
  { figure: 'streams', title: 'Streams', format: count },
  { figure: 'publishesPerSecond', title: 'Publishes a second', format: rate },
  { figure: 'deliveriesPerSecond', title: 'Deliveries a second', format: rate },
  { figure: 'lag', title: 'Lag, in messages', format: count },
  { figure: 'loopDelayMs', title: 'Event loop delay, p99, ms', format: count },
  { figure: 'residentBytes', title: 'Memory', format: bytes, isBytes: true },
];

interface Heard {
  readonly histories: readonly InstanceHistory[];
  /** Instances that did not answer this time. */
  readonly silent: readonly string[];
}

/** The last hour of instances: charts, a table, and warnings. @param ids All instances. */
export function LastHour({ api, ids }: { readonly api: Api; readonly ids: readonly string[] }): JSX.Element {
  const [chosen, setChosen] = useState('');
  const kept = useRef(new FigureHistory());
  const colors = useRef(new Map<string, number>());
  const asked = ids.includes(chosen) ? [chosen] : ids.slice(0, CHART_MAX_ENTRIES);
  const plots = useLoad(loadPlots, 'charts');
  const heard = useLoad((signal) => hear(api, asked, kept.current, signal), asked.join(' '), HISTORY_EVERY_MS);

  return (
    <section class="panel" aria-labelledby="hour-title">
      <header class="panel-head">
        <h1 id="hour-title">The last hour</h1>
        {ids.length > 1 && (
          <label class="check">Of
            <select value={ids.includes(chosen) ? chosen : ''} onChange={(event) => setChosen(event.currentTarget.value)}>
              <option value="">{ids.length > CHART_MAX_ENTRIES ? `the first ${CHART_MAX_ENTRIES} of ${count(ids.length)} instances` : 'all instances'}</option>
              {ids.map((id) => <option key={id} value={id}>{id}</option>)}
            </select>
          </label>
        )}
      </header>
      {plots.error !== undefined && <p class="note warn" role="status"><span>The charts could not be loaded; they are tried again. The table has their figures.</span></p>}
      <Shown of={heard}>
        {({ histories, silent }) => <Hour histories={histories.filter(({ id }) => asked.includes(id) || !ids.includes(id))} ids={ids} silent={silent} colors={colors.current} plots={plots.value} />}
      </Shown>
    </section>
  );
}

async function loadPlots(): Promise<typeof Plots> {
  try {
    return await import('./plot.ts');
  } catch (error) {
    if (error instanceof TypeError) throw new ApiError('The charts could not be loaded.', 0, 'unreachable');
    throw error;
  }
}

/** Asks instances for newer figures. An instance that does not answer is named, and does not hide the others. */
async function hear(api: Api, ids: readonly string[], kept: FigureHistory, signal: AbortSignal): Promise<Heard> {
  const silent: string[] = [];
  const failures: unknown[] = [];
  await Promise.all(ids.map(async (id) => {
    try {
      kept.add(id, await api.json<Answer>(`instances/${encodeURIComponent(id)}${query({ after: kept.newest(id) })}`, { signal }));
    } catch (error) {
      if (signal.aborted || !(error instanceof ApiError)) throw error;
      if (!mayPass(error) && error.code !== 'not-found') throw error;
      silent.push(id);
      failures.push(error);
    }
  }));
  if (failures.length > 0 && failures.length === ids.length) throw failures[0];
  return { histories: kept.all, silent };
}

function Hour({ histories, ids, silent, colors, plots }: {
  readonly histories: readonly InstanceHistory[]; readonly ids: readonly string[]; readonly silent: readonly string[]; readonly colors: Map<string, number>; readonly plots: typeof Plots | undefined;
}): JSX.Element {
  const lines = useMemo(() => {
    const names = histories.map(({ id }) => id).sort();
    for (const id of names) if (!colors.has(id)) colors.set(id, freeColor(new Set(colors.values())));
    return histories.toSorted((one, other) => colors.get(one.id)! - colors.get(other.id)!).map(({ id, figures }) => ({ id, figures, color: colors.get(id)! % COLORS_ENTRIES }));
  }, [histories]);
  const charts = useMemo(() => CHARTS.map(({ figure, ...rest }) => ({
    ...rest, figure, lines: lines.map(({ id, figures, color }): ChartLine => ({ name: ids.includes(id) ? id : `${id} (not heard any more)`, color, times: figures.time, values: figures[figure] })),
  })), [lines, ids.join(' ')]);
  const time = useMemo(() => shownTime(charts[0]!.lines), [charts]);

  return (
    <>
      {silent.length > 0 && <p class="note warn" role="status"><span>No answer from <code>{silent.join(', ')}</code>: its figures are missing from here on.</span></p>}
      {time === undefined ? <Empty title="There are no figures yet: an instance takes its first after 10 seconds" /> : (
        <>
          {lines.length > 1 && <ul class="chart-names" aria-label="Instances">{charts[0]!.lines.map(({ name, color }) => <li key={name} class={`chart-line chart-line-${color}`}><code>{name}</code></li>)}</ul>}
          <div class="charts">{charts.map(({ figure, ...chart }) => <Chart key={figure} {...chart} time={time} plots={plots} />)}</div>
          <details class="more">
            <summary>These figures as a table</summary>
            <FigureTable charts={charts} />
          </details>
        </>
      )}
      <Warnings of={histories} />
    </>
  );
}

/** As many as page.css has. */
const COLORS_ENTRIES = 8;

function freeColor(used: ReadonlySet<number>): number {
  let color = 0;
  while (used.has(color)) color++;
  return color;
}

function FigureTable({ charts }: { readonly charts: readonly { readonly title: string; readonly lines: readonly ChartLine[]; readonly format: (value: number) => string }[] }): JSX.Element {
  const rows = charts.flatMap(({ title, lines, format }) => lines.flatMap((line) => {
    const found = extremes(line);
    return found === undefined ? [] : [{ title, name: line.name, format, ...found }];
  }));
  return (
    <Table caption="The figures of the last hour" rows={rows} keyOf={({ title, name }) => `${title} ${name}`} columns={[
      { title: 'Figure', cell: ({ title }) => title },
      { title: 'Instance', cell: ({ name }) => <code>{name}</code> },
      { title: 'Now', isNumber: true, cell: ({ format, now }) => format(now) },
      { title: 'Lowest', isNumber: true, cell: ({ format, lowest, lowestAt }) => `${format(lowest)}, ${timeOfDay(lowestAt * 1000)}` },
      { title: 'Highest', isNumber: true, cell: ({ format, highest, highestAt }) => `${format(highest)}, ${timeOfDay(highestAt * 1000)}` },
    ]} />
  );
}

/** Warnings from the logs of instances, the newest first. */
function Warnings({ of: histories }: { readonly of: readonly InstanceHistory[] }): JSX.Element {
  const [isAll, setAll] = useState(false);
  const all = histories.flatMap(({ id, warnings }) => warnings.map((warning): Warning & { readonly id: string } => ({ ...warning, id }))).sort((one, other) => one.time < other.time ? 1 : -1);
  const shown = isAll ? all : all.slice(0, SHOWN_WARNINGS_ENTRIES);
  return (
    <>
      <h2 class="warnings-title">Warnings</h2>
      {all.length === 0 ? <p class="sub">None since {histories.length === 1 ? 'this instance' : 'these instances'} began.</p> : (
        <Table caption="Warnings" rows={shown} keyOf={({ id, level, message }) => `${id} ${level} ${message}`} columns={[
          { title: 'Time', cell: ({ time }) => <time dateTime={time} title={time}>{new Date(time).toLocaleDateString()} {timeOfDay(Date.parse(time))}</time> },
          { title: 'Level', cell: ({ level }) => <Chip tone={level === 'warn' ? 'warn' : 'bad'}>{level}</Chip> },
          { title: 'What it says', cell: ({ message, count: times, first }) => <>{visible(message)}{times > 1 && <span class="sub">{plural(times, 'time')} since {new Date(first).toLocaleDateString()} {timeOfDay(Date.parse(first))}</span>}</> },
          ...(histories.length > 1 ? [{ title: 'Instance', cell: ({ id }: { readonly id: string }) => <code>{id}</code> }] : []),
        ]} />
      )}
      {all.length > shown.length && <div class="actions"><button type="button" onClick={() => setAll(true)}>{count(all.length - shown.length)} more</button></div>}
    </>
  );
}
