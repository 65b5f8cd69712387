import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { scrape, startWorkers } from '../support/workers.ts';
import { readPromql } from '../support/promql.ts';
import { tempFolder } from '../support/temp.ts';

/** The dashboard, and the alerts of docs/monitoring.md, against what an instance shows at `/metrics`. */

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string; readonly datasource: { readonly uid: string } }[];
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string; readonly query: string | { readonly query: string } }[] };
  readonly panels: readonly Panel[];
}

const text = readFileSync(new URL('../../deploy/grafana.json', import.meta.url), 'utf8');
const dashboard = JSON.parse(text) as Dashboard;
const charts = dashboard.panels.filter(({ type }) => type !== 'row');
const expressions = charts.flatMap(({ title, targets = [] }) => targets.map(({ expr, legendFormat }) => ({ title, expr: filled(expr), legendFormat })));

/** As Grafana sends it. */
function filled(expression: string): string {
  return expression.replaceAll('$__rate_interval', '1m').replaceAll(/\$(?:job|instance)\b/g, '.*');
}

/** Units of Grafana: https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts */
const UNITS: readonly string[] = ['none', 'short', 'percentunit', 's', 'bytes', 'Bps', 'ops', 'reqps', 'mps', 'rowsps'];

/** What Prometheus adds to each metric. */
const ADDED_LABELS: readonly string[] = ['job', 'instance'];
/** What Prometheus itself knows of what it asks. */
const ADDED_METRICS: readonly string[] = ['up'];
/** Labels whose values are what has happened: not all of them are there. */
const OPEN_LABELS: readonly string[] = ['status', 'code', 'version', 'outcome'];

interface Metric {
  readonly type: string;
  /** Labels, and the values that were seen. */
  readonly labels: Map<string, Set<string>>;
}

/** What `/metrics` shows, by the names that can be asked for. */
function readMetrics(body: string): ReadonlyMap<string, Metric> {
  const metrics = new Map<string, Metric>();
  for (const [, name, type] of body.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
    const names = type === 'histogram' ? ['_bucket', '_sum', '_count'].map((part) => name + part) : [name!];
    for (const one of names) if (!metrics.has(one)) metrics.set(one, { type: type === 'histogram' ? 'counter' : type!, labels: new Map() });
  }
  for (const [, name, labels = ''] of body.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    for (const [, label, value] of labels.matchAll(/(\w+)="([^"]*)"/g)) {
      const { labels: seen } = metrics.get(name!)!;
      seen.set(label!, (seen.get(label!) ?? new Set()).add(value!));
    }
  }
  return metrics;
}

const hooks = join(tempFolder(t), 'hooks.json');
writeFileSync(hooks, JSON.stringify({ hooks: { deploys: { from: 'bearer', secret: 'a secret of 16 and more', publish: ['deploys'], topic: 'deploys' } } }));
const http = new Http(t, (await startInstance(t, { HOOKS_FILE: hooks })).url);
// Some labels are there only once something has happened.
await http.publish('a', 'x');
await http.send('POST', '/topics/a?event=$x', {}, 'x');
await http.get('/keys');
await http.send('POST', '/hooks/deploys', { authorization: 'Bearer another' }, '{}');
const { url: workers } = await startWorkers(t, 2);
// Of several workers all has a label more, and what their supervisor tells is added.
const metrics = readMetrics(`${(await http.get('/metrics')).body}\n${await scrape(workers)}\n`);

/** Whether the series of a metric may have a label. */
function has(name: string, label: string): boolean {
  return ADDED_LABELS.includes(label) || metrics.get(name)?.labels.has(label) === true;
}

/** What an expression asks for that is not there. */
function missing(expression: string): string[] {
  const { selectors, groupings } = readPromql(expression);
  const wrong: string[] = [];
  for (const { name, matchers } of selectors) {
    if (ADDED_METRICS.includes(name)) continue;
    if (!metrics.has(name)) wrong.push(`there is no metric ${name}`);
    for (const { label, operator, value } of matchers) {
      if (!has(name, label)) wrong.push(`${name} has no label ${label}`);
      else if (!ADDED_LABELS.includes(label) && !OPEN_LABELS.includes(label)) {
        const seen = [...metrics.get(name)!.labels.get(label)!];
        if (!seen.some((one) => operator.includes('~') ? new RegExp(`^(?:${value})$`).test(one) : one === value)) wrong.push(`${name} has no ${label} ${value}`);
      }
    }
  }
  for (const { labels, names } of groupings) for (const label of labels) for (const name of names) if (!has(name, label)) wrong.push(`${name} has no label ${label}`);
  return wrong;
}

await t.test('the comparison finds names that do not exist', async (t) => {
  t.same(missing('sum by (le, instance) (rate(tidings_commit_seconds_bucket{job=~".*"}[1m]))'), []);
  t.same(missing('tidings_streams_open + rate(tidings_streams_cut_total{reason="x", cause="y"}[1m])'), ['there is no metric tidings_streams_open', 'tidings_streams_cut_total has no reason x', 'tidings_streams_cut_total has no label cause']);
  t.same(missing('sum by (status) (tidings_streams)'), ['tidings_streams has no label status']);
  for (const bad of ['sum(rate(tidings_streams[1m])', 'sum by instance (tidings_streams)', '{{instance}}']) t.throws(() => readPromql(bad), /no PromQL/, bad);
});

await t.test('every metric and label of the dashboard is there', async (t) => {
  t.ok(expressions.length > 60, `${expressions.length} expressions`);
  for (const { title, expr, legendFormat } of expressions) {
    t.same(missing(expr), [], `${title}: ${expr}`);
    const { selectors, groupings } = readPromql(expr);
    for (const { name, within } of selectors) {
      const isCounter = metrics.get(name)?.type === 'counter';
      t.equal(['rate', 'increase'].includes(within ?? ''), isCounter, `${title}: ${name} is ${isCounter ? 'a counter' : 'none'}`);
    }
    // A line is named by a label that is left.
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
      t.ok(groupings.length === 0 ? selectors.every(({ name }) => has(name, label!)) : groupings.some(({ labels }) => labels.includes(label!)), `${title}: ${legendFormat}`);
    }
    // One line for each of several workers; where an expression names one, there is no other.
    if (groupings.length > 0 || !legendFormat.includes('{{instance}}') || expr.includes('worker=')) continue;
    t.equal(legendFormat.includes('{{worker}}'), selectors.every(({ name }) => has(name, 'worker')), `${title}: ${legendFormat}`);
  }
  for (const { query } of dashboard.templating.list.filter(({ type }) => type === 'query')) {
    const [, series, label] = /^label_values\((.+), (\w+)\)$/.exec(typeof query === 'string' ? query : query.query)!;
    t.same(missing(filled(series!)), []);
    t.ok(ADDED_LABELS.includes(label!));
  }
});

await t.test('Grafana takes it as it is: panels have titles, units and explanations, and lie beside each other', async (t) => {
  t.match(dashboard, { uid: 'tidings', title: 'Tidings', schemaVersion: Number });
  t.same(dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title), ['Overview', 'Publishing', 'Delivery', 'Catch-up', 'Database', 'Bus', 'Access', 'Memory', 'Process', 'Workers', 'Webhooks']);
  t.notMatch(text, /__inputs|DS_PROMETHEUS/, 'it asks for nothing when it is imported');
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
  t.equal(new Set(charts.map(({ title }) => title)).size, charts.length, 'no two are called alike');
  const taken = new Set<string>();
  for (const { title, gridPos: { x, y, w, h } } of dashboard.panels) {
    t.ok(x >= 0 && x + w <= 24, title);
    for (let column = x; column < x + w; column++) for (let line = y; line < y + h; line++) {
      if (taken.has(`${column} ${line}`)) t.fail(`${title} lies on another panel`);
      taken.add(`${column} ${line}`);
    }
  }
  for (const { title, description = '', fieldConfig, datasource, targets = [], type } of charts) {
    t.match(description, /^\S.+\.$/, `${title} is explained`);
    t.ok(UNITS.includes(fieldConfig?.defaults.unit ?? ''), `${title}: ${fieldConfig?.defaults.unit}`);
    t.ok(targets.length > 0 && new Set(targets.map(({ refId }) => refId)).size === targets.length, title);
    for (const one of [{ datasource }, ...targets]) t.equal(one.datasource?.uid, '${datasource}', title);
    t.ok(targets.every(({ expr }) => expr.includes('job=~"$job"') && expr.includes('instance=~"$instance"')), `${title} goes by what was chosen`);
    t.ok(type === 'stat' || targets.every(({ legendFormat }) => legendFormat !== ''), title);
  }
});

await t.test('every metric and label of the alerts is there', async (t) => {
  const rows = readFileSync(new URL('../../docs/monitoring.md', import.meta.url), 'utf8').split('\n').filter((line) => line.startsWith('| '));
  const alerts = rows.map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'))).filter((cells) => cells.length === 5);
  const queries = alerts.flatMap(([, , cell = '']) => [...cell.matchAll(/`([^`]+)`/g)].map(([, query]) => query!));
  t.ok(queries.length > 25, `${queries.length} alerts`);
  for (const query of queries) t.same(missing(query), [], query);
});
