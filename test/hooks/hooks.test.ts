import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { Http, type Answer } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { tempFolder } from '../support/temp.ts';

/** Hooks on a real instance: requests as the senders send them, signed as they sign them. */

const SECRET = 'not-to-be-seen-anywhere-1';
const NEXT = 'not-to-be-seen-anywhere-2';
const WEBHOOK_SECRET = `whsec_${Buffer.from(SECRET).toString('base64')}`;

const HOOKS = {
  github: { from: 'github', secret: [{ env: 'GITHUB_HOOK' }, NEXT], publish: ['github.>'], topic: 'github.{body:/repository/full_name}.{header:X-GitHub-Event}' },
  gitlab: { from: 'gitlab', secret: SECRET, publish: ['gitlab.>'], topic: 'gitlab.{/project/path_with_namespace}' },
  stripe: { from: 'stripe', secret: SECRET, publish: ['stripe.>'], topic: 'stripe.{+/type}', ttl: 3600 },
  slack: { from: 'slack', secret: SECRET, publish: ['slack.>'], topic: 'slack.{/team_id|=none}' },
  standard: { from: 'standard-webhooks', secret: WEBHOOK_SECRET, publish: ['standard.>'], topic: 'standard.{+/type}' },
  grafana: { from: 'grafana', secret: SECRET, timestampHeader: 'X-Grafana-Timestamp', publish: ['alerts.>'], topic: 'alerts.{/labels/alertname}', each: '/alerts' },
  alertmanager: { from: 'alertmanager', secret: SECRET, publish: ['alerts.>'], topic: 'alerts.{/labels/alertname|body:/receiver}', each: '/alerts', key: '{header:X-Delivery}' },
  plain: { from: 'hmac', secret: SECRET, signature: { header: 'X-Sig', algorithm: 'sha512', encoding: 'base64', prefix: 'v1:' }, publish: ['plain'], topic: 'plain', event: '{header:X-Event}', key: '{header:X-Id}' },
  numbers: { from: 'bearer', secret: SECRET, publish: ['numbers.>'], topic: 'numbers.{body:/id}.{/n}', each: '/alerts', key: '{body:/id}' },
  basic: { from: 'basic', user: 'me', secret: SECRET, publish: ['basic.>'], topic: 'basic.{/where}' },
  path: { from: 'path', secret: SECRET, publish: ['path'], topic: 'path' },
};

/** Bodies of the shapes that the senders document, shortened. */
const GITHUB = '{"ref":"refs/heads/main","after":"6113728f27ae82c7b1a177c8d03f9e96e0adf246","repository":{"id":186853002123456789012,"full_name":"Codertocat/Hello-World","private":false},"pusher":{"name":"Codertocat"},"commits":[{"message":"<b>é</b>"}]}';
const GITLAB = '{"object_kind":"push","event_name":"push","project":{"id":15,"path_with_namespace":"mike/diaspora"},"total_commits_count":4}';
const STRIPE = '{"id":"evt_1NG8Du2eZvKYlo2CUI79vXWy","object":"event","api_version":"2019-02-19","created":1686089970,"data":{"object":{"id":"seti_1","amount":9007199254740993}},"pending_webhooks":1,"type":"invoice.paid"}';
const SLACK = '{"type":"event_callback","team_id":"T123ABC456","event":{"type":"app_mention","text":"hi <@U0LAN0Z89>","ts":"1515449522.000016"},"event_id":"Ev123ABC456","event_time":1515449522}';
const STANDARD = '{"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52"}}';
const GRAFANA = '{"receiver":"hook","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"High load","severity":"page"},"fingerprint":"c6eadffa33fcdf37"},  {"status":"resolved","labels":{"alertname":"Disk"},"values":{"B":44.230000000000000001}}],"groupKey":"{}:{}","version":"1"}';
const ALERTMANAGER = '{"version":"4","groupKey":"{}:{alertname=\\"Down\\"}","status":"firing","receiver":"team-x","alerts":[{"status":"firing","labels":{"alertname":"InstanceDown","instance":"localhost:9090"},"startsAt":"2018-08-03T09:52:26.739266876+02:00"}]}';

type Headers = Record<string, string>;

const JSON_TYPE = { 'content-type': 'application/json' };
const seconds = (): number => Math.floor(Date.now() / 1000);
const sign = (algorithm: string, encoding: 'hex' | 'base64', text: string, secret = SECRET): string => createHmac(algorithm, secret).update(text).digest(encoding);

const SIGNED = {
  github: (body: string, id: string, secret = SECRET): Headers => ({ ...JSON_TYPE, 'x-github-event': 'push', 'x-github-delivery': id, 'x-hub-signature-256': `sha256=${sign('sha256', 'hex', body, secret)}` }),
  gitlab: (id: string): Headers => ({ ...JSON_TYPE, 'x-gitlab-event': 'Push Hook', 'x-gitlab-token': SECRET, 'idempotency-key': id }),
  stripe: (body: string, at = seconds()): Headers => ({ ...JSON_TYPE, 'stripe-signature': `t=${at},v1=${sign('sha256', 'hex', `${at}.${body}`)}` }),
  slack: (body: string, at = seconds()): Headers => ({ ...JSON_TYPE, 'x-slack-request-timestamp': String(at), 'x-slack-signature': `v0=${sign('sha256', 'hex', `v0:${at}:${body}`)}` }),
  standard: (body: string, id: string): Headers => ({ ...JSON_TYPE, 'webhook-id': id, 'webhook-timestamp': String(seconds()), 'webhook-signature': new Webhook(WEBHOOK_SECRET).sign(id, new Date(seconds() * 1000), body) }),
  grafana: (body: string, at = seconds()): Headers => ({ ...JSON_TYPE, 'x-grafana-timestamp': String(at), 'x-grafana-alerting-signature': sign('sha256', 'hex', `${at}:${body}`) }),
  plain: (body: string, more: Headers = {}): Headers => ({ 'content-type': 'text/plain', 'x-sig': `v1:${sign('sha512', 'base64', body)}`, ...more }),
};
const BASIC = { ...JSON_TYPE, authorization: `Basic ${Buffer.from(`me:${SECRET}`).toString('base64')}` };
const BEARER = { ...JSON_TYPE, authorization: `Bearer ${SECRET}` };

interface Stored {
  readonly topic: string;
  readonly event: string;
  readonly data: unknown;
}

t.test('hooks', async (t) => {
  const file = join(tempFolder(t), 'hooks.json');
  writeFileSync(file, JSON.stringify({ hooks: HOOKS }));
  const instance = await startInstance(t, { HOOKS_FILE: file, GITHUB_HOOK: SECRET, MESSAGE_BYTES: '20KiB', AUTH: 'on', PUBLIC_TOPICS: '>', FAILED_LOGINS_LIMIT: '100/h', LOG_LEVEL: 'debug', OPS_PORT: '0' });
  const http = new Http(t, instance.url);
  const post = (path: string, headers: Headers, body: string): Promise<Answer> => http.send('POST', `/hooks/${path}`, headers, body);
  const stored = async (topic: string): Promise<readonly Stored[]> => (await http.json<{ messages: Stored[] }>(`/topics/${encodeURIComponent(topic)}/messages?limit=1000`)).messages;

  t.test('what each sender sends is a message, byte for byte, once', async (t) => {
    const cases: readonly (readonly [hook: string, headers: Headers, body: string, topic: string, event: string])[] = [
      ['github', SIGNED.github(GITHUB, 'd1'), GITHUB, 'github.Codertocat_Hello-World.push', 'push'],
      ['gitlab', SIGNED.gitlab('g1'), GITLAB, 'gitlab.mike_diaspora', 'push'],
      ['stripe', SIGNED.stripe(STRIPE), STRIPE, 'stripe.invoice.paid', 'invoice.paid'],
      ['slack', SIGNED.slack(SLACK), SLACK, 'slack.T123ABC456', 'app_mention'],
      ['standard', SIGNED.standard(STANDARD, 'msg_1'), STANDARD, 'standard.contact.created', 'contact.created'],
      ['basic', BASIC, '{"where":"here"}', 'basic.here', 'message'],
      [`path/${SECRET}`, JSON_TYPE, '[1.0]', 'path', 'message'],
    ];
    for (const [hook, headers, body, topic, event] of cases) {
      const answer = await post(hook, headers, body);
      t.equal(answer.status, 201, `${hook}: ${answer.body}`);
      const [message, ...others] = await stored(topic);
      t.match(message, { topic, event }, hook);
      t.equal(others.length, 0, hook);
      const { body: page } = await http.get(`/topics/${encodeURIComponent(topic)}/messages`);
      t.ok(page.includes(`"data":${body}`), `${hook}: its bytes are kept`);
    }
  });

  t.test('a repeated delivery is stored once, also where its body has changed', async (t) => {
    const again = STRIPE.replace('"pending_webhooks":1', '"pending_webhooks":0');
    for (const [hook, headers, body] of [
      ['github', SIGNED.github(GITHUB, 'd1'), GITHUB],
      ['github', SIGNED.github(GITHUB, 'd1', NEXT), GITHUB],
      ['gitlab', SIGNED.gitlab('g1'), GITLAB],
      ['stripe', SIGNED.stripe(again), again],
      ['slack', SIGNED.slack(SLACK), SLACK],
      ['standard', SIGNED.standard(STANDARD, 'msg_1'), STANDARD],
    ] as const) t.match(await post(hook, headers, body), { status: 201, headers: { 'idempotency-replayed': 'true' } }, hook);
    for (const topic of ['github.>', 'gitlab.>', 'stripe.>', 'slack.>', 'standard.>']) t.equal((await stored(topic)).length, 1, topic);
    t.match(await post('github', SIGNED.github(GITHUB, 'd2'), GITHUB), { status: 201, headers: { 'idempotency-replayed': undefined } });
    t.equal((await stored('github.>')).length, 2);
  });

  t.test('GitHub\'s form has its JSON in the field payload', async (t) => {
    const body = new URLSearchParams({ payload: GITHUB }).toString();
    t.equal((await post('github', { ...SIGNED.github(body, 'd3'), 'content-type': 'application/x-www-form-urlencoded' }, body)).status, 201);
    t.same((await stored('github.>')).at(-1)?.data, JSON.parse(GITHUB));
  });

  t.test('each alert may be a message of its own, all or none', async (t) => {
    t.match(JSON.parse((await post('grafana', SIGNED.grafana(GRAFANA), GRAFANA)).body), { messages: [{ topic: 'alerts.High_load', event: 'firing' }, { topic: 'alerts.Disk', event: 'resolved' }] });
    t.match(JSON.parse((await post('alertmanager', { ...BEARER, 'x-delivery': 'é'.repeat(3) }, ALERTMANAGER)).body), { messages: [{ topic: 'alerts.InstanceDown' }] });
    const { body } = await http.get('/topics/alerts.Disk/messages');
    t.ok(body.includes('{"B":44.230000000000000001}'), 'digits are kept');
    const half = '{"receiver":"x","alerts":[{"labels":{"alertname":"a"}},{"labels":{}}]}';
    const before = (await stored('alerts.>')).length;
    t.match(await post('grafana', SIGNED.grafana(half), half), { status: 400, body: /nothing at \/labels\/alertname/ });
    t.equal((await stored('alerts.>')).length, before);
  });

  t.test('Slack asks whether somebody is there', async (t) => {
    const body = '{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}';
    t.match(await post('slack', SIGNED.slack(body), body), { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }, body: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P' });
    t.equal((await post('slack', JSON_TYPE, body)).status, 401, 'only who signs is answered');
    t.equal((await stored('slack.none')).length, 0);
  });

  t.test('text stays text', async (t) => {
    t.equal((await post('plain', SIGNED.plain('just text', { 'x-event': 'note', 'x-id': '1' }), 'just text')).status, 201);
    t.same((await stored('plain')).map(({ event, data }) => [event, data]), [['note', 'just text']]);
  });

  t.test('ids that JavaScript would round stay different ids', async (t) => {
    for (const id of ['1234567890123456788', '1234567890123456789']) {
      const body = `{"id":${id},"alerts":[{"n":${id}},{"n":0.30000000000000000001}]}`;
      const { status, headers, body: answer } = await post('numbers', BEARER, body);
      t.match([status, headers['idempotency-replayed']], [201, undefined], answer);
      t.match(JSON.parse(answer), { messages: [{ topic: `numbers.${id}.${id}` }, { topic: `numbers.${id}.0_30000000000000000001` }] });
    }
    t.match(await post('numbers', BEARER, '{"id":1234567890123456789,"alerts":[{"n":1}]}'), { status: 201, headers: { 'idempotency-replayed': 'true' } });
  });

  t.test('bad input', async (t) => {
    const github = (body: string, more: Headers = {}): [string, Headers, string] => ['github', { ...SIGNED.github(body, 'bad'), ...more }, body];
    const basic = (body: string, more: Headers = {}): [string, Headers, string] => ['basic', { ...BASIC, ...more }, body];
    const cases: readonly (readonly [request: [path: string, headers: Headers, body: string], status: number, code: string, field: string | undefined])[] = [
      [['nothing', JSON_TYPE, '{}'], 404, 'not-found', 'hook'],
      [['constructor', JSON_TYPE, '{}'], 404, 'not-found', 'hook'],
      [['github', JSON_TYPE, GITHUB], 401, 'invalid-credential', 'X-Hub-Signature-256'],
      [['github', SIGNED.github(GITHUB, 'x', 'another secret than that'), GITHUB], 401, 'invalid-credential', 'X-Hub-Signature-256'],
      [['github', SIGNED.github(GITHUB, 'x'), GITHUB.replace('main', 'evil')], 401, 'invalid-credential', 'X-Hub-Signature-256'],
      [['github', SIGNED.github(GITHUB, 'x'), GITHUB.slice(0, -1)], 401, 'invalid-credential', 'X-Hub-Signature-256'],
      [['github/x', SIGNED.github(GITHUB, 'x'), GITHUB], 401, 'invalid-credential', 'path'],
      [['stripe', SIGNED.stripe(STRIPE, seconds() - 3_600), STRIPE], 401, 'invalid-credential', 'Stripe-Signature'],
      [['slack', SIGNED.slack(SLACK, seconds() + 3_600), SLACK], 401, 'invalid-credential', 'X-Slack-Request-Timestamp'],
      [['basic', { ...BASIC, authorization: 'Basic bWU6bm8=' }, '{}'], 401, 'invalid-credential', 'Authorization'],
      [['path', JSON_TYPE, '{}'], 401, 'invalid-credential', 'path'],
      [['path/wrong', JSON_TYPE, '{}'], 401, 'invalid-credential', 'path'],
      [github(GITHUB, { 'content-type': 'multipart/form-data; boundary=x' }), 415, 'unsupported-media-type', 'Content-Type'],
      [github(GITHUB, { 'content-encoding': 'gzip' }), 415, 'unsupported-media-type', 'Content-Encoding'],
      [github('{"a":'), 400, 'invalid-data', 'body'],
      [github('{}'), 400, 'invalid-data', 'body:/repository/full_name'],
      [github(''), 400, 'invalid-data', 'body'],
      [basic('null'), 400, 'invalid-data', '/where'],
      [basic('{"where":{"a":1}}'), 400, 'invalid-data', '/where'],
      [basic(JSON.stringify({ where: 'x'.repeat(300) })), 400, 'invalid-topic', 'topic'],
      [basic('{}', { 'content-type': 'text/plain' }), 400, 'invalid-data', '/where'],
      [basic(JSON.stringify({ where: 'here', fill: 'x'.repeat(20_481) })), 413, 'too-large', undefined],
      // Each of its bytes becomes six of JSON.
      [basic(`where=here&fill=${'\u0001'.repeat(4_000)}`, { 'content-type': 'application/x-www-form-urlencoded' }), 413, 'too-large', 'body'],
      [['standard', SIGNED.standard('{"type":"a..b"}', 'x'), '{"type":"a..b"}'], 400, 'invalid-topic', 'topic'],
      [['plain', SIGNED.plain('x', { 'x-event': '$gap' }), 'x'], 400, 'invalid-event', 'event'],
      ...['{}', '{"alerts":[]}', '{"alerts":{}}', '{"alerts":null}', '{"alerts":[{}],"alerts":[{}]}'].map((body): readonly [[string, Headers, string], number, string, string] => [['grafana', SIGNED.grafana(body), body], 400, 'invalid-data', body.includes('],"') ? 'alerts' : '/alerts']),
      [['grafana', { ...SIGNED.grafana('text'), 'content-type': 'text/plain' }, 'text'], 400, 'invalid-data', '/alerts'],
      [['basic', { ...BASIC, origin: 'https://evil.example' }, '{"where":"here"}'], 403, 'cross-origin', 'Origin'],
    ];
    const before = (await stored('>')).length;
    for (const [[path, headers, body], status, code, field] of cases) {
      const answer = await post(path, headers, body);
      t.match(answer.status, status, `${path} ${body.slice(0, 60)}: ${answer.body}`);
      t.match(JSON.parse(answer.body), { code, field }, `${path} ${body.slice(0, 60)}`);
    }
    t.equal((await http.get('/hooks/github')).status, 405);
    t.equal((await stored('>')).length, before, 'nothing was stored');
  });

  t.test('it is counted, and no secret is told', async (t) => {
    const operations = /operations are answered at (http:[^\s"]+)/.exec(instance.output)![1]!;
    const metrics = await new Http(t, operations).metrics();
    t.equal(metrics.get('tidings_hook_requests_total{hook="github",outcome="stored"}'), 3);
    t.equal(metrics.get('tidings_hook_requests_total{hook="github",outcome="replayed"}'), 2);
    t.equal(metrics.get('tidings_hook_requests_total{hook="github",outcome="forged"}'), 5);
    t.equal(metrics.get('tidings_hook_requests_total{hook="slack",outcome="asked"}'), 1);
    for (const method of ['GET', 'POST', 'PUT', 'OPTIONS']) for (const path of [`/hooks/path/${SECRET}`, `/hooks/path/${SECRET}/`, `/hooks/path/${SECRET}/x`, `/Hooks/path/${SECRET}`, `/hook/path/${SECRET}`, `/hooks//path/${SECRET}`, `/hooks/path/${SECRET}%2Fx`, `/hooks/path/${SECRET}%FF`, `/hooks/path/${SECRET}?event=x`, `/hooks/path?secret=${SECRET}`]) {
      const answer = await http.send(method, path, { ...JSON_TYPE, host: 'localhost' }, method === 'GET' ? undefined : '{}');
      t.notMatch(JSON.stringify([answer.headers, answer.body]), /not-to-be-seen/, `${method} ${path}: ${answer.body}`);
    }
    let limited = 0;
    for (let count = 1; count <= 120; count++) {
      const { status } = await post('plain', JSON_TYPE, '{}');
      if (status === 429) limited++;
      else t.equal(status, 401);
    }
    t.ok(limited > 0, 'who fails too often is told so');
    const forged = (await new Http(t, operations).metrics()).get('tidings_hook_requests_total{hook="plain",outcome="forged"}');
    t.equal(forged, 120, 'each counts as forged');
    t.match(instance.output, /a credential was refused/);
    t.notMatch(instance.output, /not-to-be-seen/);
    t.notOk(instance.output.includes(WEBHOOK_SECRET));
  });
});
