import { t } from 'tap';
import { ENDPOINTS, type Endpoint } from '../../../src/http/admission/endpoints.ts';
import { nearParameter } from '../../../src/http/input/near-parameter.ts';
import { parseQuery } from '../../../src/http/input/query-string.ts';

const ALL: Endpoint = { url: '', methods: [], access: 'messages', once: [...new Set(Object.values(ENDPOINTS).flatMap(({ once }) => [...once]))], many: ['topic'] };

function near(query: string, endpoint: Endpoint = ALL): string | undefined {
  return nearParameter(parseQuery(query), endpoint)?.meant;
}

t.test('a name that is one mistake away from one of ours, or two where ours is long, is near it', (t) => {
  for (const [name, meant] of [
    ['sinc', 'since'], ['sincee', 'since'], ['sence', 'since'], ['sicne', 'since'], ['SINCE', 'since'], ['since[]', 'since'], ['s-i_nce', 'since'], ['snec', undefined], ['science', undefined],
    ['wiat', 'wait'], ['wai', undefined], ['await', 'wait'], ['weight', undefined],
    ['lastEvent', 'lastEventId'], ['lastEventNumber', undefined], ['last_id', undefined], ['eventid', undefined],
    ['lsat', 'last'], ['Last', 'last'], ['least', 'last'], ['lst', undefined], ['tail', 'last'], ['latest', 'last'], ['lastly', undefined],
    ['cursor', 'after'], ['CURSOR', 'after'], ['cursors', undefined],
  ] as const) t.equal(near(`${name}=1`), meant, name);
  t.end();
});

t.test("strangers' parameters are near none of ours", (t) => {
  const STRANGERS = [
    // Cache busters.
    '_', '__', 't', 'ts', 'v', 'cb', 'rnd', 'rand', 'r', 'nc', 'bust', 'cache', 'cacheBust', 'cachebuster', 'nocache', 'no-cache', 'nonce', 'time', 'timestamp', 'random', 'version', 'ver', 'dummy', 'q',
    // Trackers.
    'utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content', 'utm_id', 'gclid', 'fbclid', 'msclkid', 'dclid', 'gbraid', 'wbraid', 'mc_cid', 'mc_eid', '_ga', '_gl', 'ref', 'referrer', 'source', 'igshid', 'yclid', 'twclid', 'ttclid',
    // What gateways and libraries add.
    'token', 'access_token', 'apikey', 'api_key', 'api-key', 'key', 'auth', 'authorization', 'jwt', 'sig', 'signature', 'sid', 'session', 'EIO', 'transport', 'callback', 'format', 'lang', 'locale', 'user', 'id', 'X-Amz-Date', 'X-Amz-Signature', 'code', 'state', 'channel', 'stream', 'retry',
  ];
  for (const name of STRANGERS) t.equal(near(`${name}=1`), undefined, name);
  t.end();
});

t.test('an endpoint\'s own parameters are near nothing, and foreign ones are near nothing foreign', (t) => {
  for (const endpoint of Object.values<Endpoint>(ENDPOINTS)) {
    for (const name of [...endpoint.once, ...endpoint.many ?? []]) t.equal(near(`${name}=1`, endpoint), undefined, name);
    t.equal(near('sicne=1&aftr=1&topc=1&evnet=1&idempotencykey=1&limt=1&befroe=1&rety=1&patern=1', endpoint) === undefined, endpoint.once.length === 0 && endpoint.many === undefined, endpoint.url);
  }
  t.end();
});

t.test('a mistake counts among other parameters, but not behind thousands of them', (t) => {
  t.same(nearParameter(parseQuery('topic=a&_=1&limt=5&sicne=1'), ENDPOINTS.history), { given: 'limt', meant: 'limit' });
  const strangers = Array.from({ length: 5_000 }, (_, index) => `p${index}=1`).join('&');
  t.equal(near(`${strangers}&limt=5`), undefined);
  t.end();
});
