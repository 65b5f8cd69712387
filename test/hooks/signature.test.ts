import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { basic, bearer, hmac, path, slack, standardWebhooks, stripe, token, type SignedRequest, type Verify } from '../../src/hooks/signature.ts';

const NOW = 1_790_000_000;
const BODY = '{"ok":true,"text":"ü"}';
const OLD = 'the secret before this one';
const SECRET = 'a secret of twenty-eight chars';

function request(headers: Record<string, string>, more: Partial<SignedRequest> = {}): SignedRequest {
  return { headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])), body: Buffer.from(BODY), pathSecret: undefined, now: NOW, ...more };
}

const hex = (algorithm: string, secret: string, text: string): string => createHmac(algorithm, secret).update(text).digest('hex');

t.test('the examples of the senders\' own documentation', (t) => {
  const github = hmac(["It's a Secret to Everybody"], { header: 'X-Hub-Signature-256', algorithm: 'sha256', encoding: 'hex', prefix: 'sha256=' });
  t.equal(github(request({ 'X-Hub-Signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' }, { body: Buffer.from('Hello, World!') })), undefined);
  const body = 'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
  t.equal(slack(['8f742231b10e8888abcd99yyyzzz85a5'])(request({ 'X-Slack-Signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503', 'X-Slack-Request-Timestamp': '1531420618' }, { body: Buffer.from(body), now: 1_531_420_618 })), undefined);
  t.end();
});

interface Case {
  readonly verify: Verify;
  readonly good: readonly SignedRequest[];
  /** With the words of the refusal. */
  readonly bad: readonly (readonly [request: SignedRequest, field: string, why: RegExp])[];
}

const stripeHeader = (time: number, ...signatures: string[]): Record<string, string> => ({ 'Stripe-Signature': [`t=${time}`, ...signatures.map((text) => `v1=${text}`), 'v0=ignored'].join(',') });
const slackHeaders = (time: number, secret = SECRET): Record<string, string> => ({ 'X-Slack-Request-Timestamp': String(time), 'X-Slack-Signature': `v0=${hex('sha256', secret, `v0:${time}:${BODY}`)}` });
const webhookSecret = `whsec_${Buffer.from(SECRET).toString('base64')}`;
const webhookHeaders = (time: number, id = 'msg_1'): Record<string, string> => ({ 'webhook-id': id, 'webhook-timestamp': String(time), 'webhook-signature': new Webhook(webhookSecret).sign(id, new Date(time * 1000), BODY) });
const other = Buffer.from(BODY.replace('true', 'fals'));
const headerName = 'X-Sig';

const cases: Readonly<Record<string, Case>> = {
  'a signature in a header': {
    verify: hmac([OLD, SECRET], { header: headerName, algorithm: 'sha256', encoding: 'hex', prefix: 'sha256=' }),
    good: [request({ [headerName]: `sha256=${hex('sha256', SECRET, BODY)}` }), request({ [headerName]: `sha256=${hex('sha256', OLD, BODY).toUpperCase()}` })],
    bad: [
      [request({}), headerName, /missing/],
      [request({ [headerName]: hex('sha256', SECRET, BODY) }), headerName, /does not begin with sha256=/],
      [request({ [headerName]: `sha256=${hex('sha256', SECRET, BODY)}` }, { body: other }), headerName, /not the signature of this body/],
      [request({ [headerName]: `sha256=${hex('sha256', `${SECRET}!`, BODY)}` }), headerName, /not the signature/],
      [request({ [headerName]: `sha256=${hex('sha256', SECRET, BODY).slice(0, -2)}` }), headerName, /not the signature/],
      [request({ [headerName]: 'sha256=' }), headerName, /not the signature/],
      [request({ [headerName]: `sha256=${'zz'.repeat(32)}` }), headerName, /not the signature/],
    ],
  },
  'a signature in Base64, by SHA-1': {
    verify: hmac([SECRET], { header: headerName, algorithm: 'sha1', encoding: 'base64', prefix: '' }),
    good: [request({ [headerName]: createHmac('sha1', SECRET).update(BODY).digest('base64') })],
    bad: [[request({ [headerName]: hex('sha1', SECRET, BODY) }), headerName, /not the signature/]],
  },
  'Grafana with a time': {
    verify: hmac([SECRET], { header: headerName, algorithm: 'sha256', encoding: 'hex', prefix: '', timestampHeader: 'X-Time' }),
    good: [request({ 'X-Time': String(NOW), [headerName]: hex('sha256', SECRET, `${NOW}:${BODY}`) })],
    bad: [
      [request({ [headerName]: hex('sha256', SECRET, BODY) }), 'X-Time', /the time is missing/],
      [request({ 'X-Time': String(NOW - 301), [headerName]: hex('sha256', SECRET, `${NOW - 301}:${BODY}`) }), 'X-Time', /more than 300 s/],
    ],
  },
  Stripe: {
    verify: stripe([OLD, SECRET]),
    good: [request(stripeHeader(NOW, hex('sha256', SECRET, `${NOW}.${BODY}`))), request(stripeHeader(NOW - 300, 'ab'.repeat(32), hex('sha256', OLD, `${NOW - 300}.${BODY}`)))],
    bad: [
      [request({}), 'Stripe-Signature', /missing/],
      [request(stripeHeader(NOW - 301, hex('sha256', SECRET, `${NOW - 301}.${BODY}`))), 'Stripe-Signature', /more than 300 s/],
      [request(stripeHeader(NOW + 301, hex('sha256', SECRET, `${NOW + 301}.${BODY}`))), 'Stripe-Signature', /more than 300 s/],
      [request(stripeHeader(NOW, hex('sha256', SECRET, `${NOW - 1}.${BODY}`))), 'Stripe-Signature', /not the signature/],
      [request({ 'Stripe-Signature': `t=${NOW},v0=${hex('sha256', SECRET, `${NOW}.${BODY}`)}` }), 'Stripe-Signature', /not the signature/],
      [request({ 'Stripe-Signature': `v1=${hex('sha256', SECRET, `${NOW}.${BODY}`)}` }), 'Stripe-Signature', /time is missing/],
      [request({ 'Stripe-Signature': `t=now,v1=${'ab'.repeat(32)}` }), 'Stripe-Signature', /seconds since 1970/],
      [request(stripeHeader(NOW, ...Array.from({ length: 10 }, () => 'ab'.repeat(32)), hex('sha256', SECRET, `${NOW}.${BODY}`))), 'Stripe-Signature', /not the signature/],
    ],
  },
  Slack: {
    verify: slack([SECRET]),
    good: [request(slackHeaders(NOW))],
    bad: [
      [request({}), 'X-Slack-Signature', /missing/],
      [request(slackHeaders(NOW - 301)), 'X-Slack-Request-Timestamp', /more than 300 s/],
      [request({ ...slackHeaders(NOW), 'X-Slack-Request-Timestamp': String(NOW + 1) }), 'X-Slack-Signature', /not the signature/],
      [request(slackHeaders(NOW, OLD)), 'X-Slack-Signature', /not the signature/],
      [request({ ...slackHeaders(NOW), 'X-Slack-Signature': hex('sha256', SECRET, `v0:${NOW}:${BODY}`) }), 'X-Slack-Signature', /begin with v0=/],
    ],
  },
  'Standard Webhooks, by their own library': {
    verify: standardWebhooks([`whsec_${Buffer.from(OLD).toString('base64')}`, webhookSecret]),
    good: [request(webhookHeaders(NOW)), request({ ...webhookHeaders(NOW), 'webhook-signature': `v1,${'A'.repeat(43)}= ${webhookHeaders(NOW)['webhook-signature']}` })],
    bad: [
      [request({}), 'webhook-signature', /missing/],
      [request({ ...webhookHeaders(NOW), 'webhook-id': '' }), 'webhook-id', /missing/],
      [request({ ...webhookHeaders(NOW), 'webhook-id': 'msg_2' }), 'webhook-signature', /not the signature/],
      [request(webhookHeaders(NOW - 301)), 'webhook-timestamp', /more than 300 s/],
      [request(webhookHeaders(NOW), { body: other }), 'webhook-signature', /not the signature/],
      [request({ ...webhookHeaders(NOW), 'webhook-signature': webhookHeaders(NOW)['webhook-signature']!.replace('v1,', 'v1a,') }), 'webhook-signature', /not the signature/],
    ],
  },
  'a secret in a header': {
    verify: token([OLD, SECRET], headerName),
    good: [request({ [headerName]: SECRET }), request({ [headerName]: OLD })],
    bad: [[request({}), headerName, /missing/], [request({ [headerName]: `${SECRET} ` }), headerName, /not a secret of this hook/]],
  },
  'a bearer': {
    verify: bearer(['a-secret-without-blanks']),
    good: [request({ Authorization: 'Bearer a-secret-without-blanks' }), request({ Authorization: 'bearer  a-secret-without-blanks' })],
    bad: [[request({}), 'Authorization', /not Bearer/], [request({ Authorization: 'Basic a-secret-without-blanks' }), 'Authorization', /not Bearer/], [request({ Authorization: 'Bearer a-secret' }), 'Authorization', /not a secret/]],
  },
  'user and password': {
    verify: basic([SECRET], 'alert'),
    good: [request({ Authorization: `Basic ${Buffer.from(`alert:${SECRET}`).toString('base64')}` })],
    bad: [[request({}), 'Authorization', /not Basic/], [request({ Authorization: `Basic ${Buffer.from(`other:${SECRET}`).toString('base64')}` }), 'Authorization', /not the one of this hook/], [request({ Authorization: 'Basic %%' }), 'Authorization', /not Basic/]],
  },
  'a secret in the path': {
    verify: path([OLD, SECRET]),
    good: [request({}, { pathSecret: SECRET }), request({}, { pathSecret: OLD })],
    bad: [[request({}), 'path', /missing/], [request({}, { pathSecret: 'x' }), 'path', /does not end with a secret/]],
  },
};

for (const [name, { verify, good, bad }] of Object.entries(cases)) {
  t.test(name, (t) => {
    for (const one of good) t.equal(verify(one), undefined);
    for (const [one, field, why] of bad) {
      const forged = verify(one);
      t.match(forged, { field, why }, String(why));
      t.notMatch(JSON.stringify(forged), new RegExp(`${SECRET}|${OLD}`), 'it tells no secret');
    }
    t.end();
  });
}
