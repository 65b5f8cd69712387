import { t } from 'tap';
import { commonHeaders, foreignPageDetail, isForeignPage } from '../../src/http/admission/origin.ts';

const HOST = 'tidings.example:8080';
const APP = 'https://app.example';

t.test('only pages of other origins are foreign', (t) => {
  const cases: readonly (readonly [headers: Record<string, string | undefined>, foreign: boolean, what: string])[] = [
    [{}, false, 'a program'],
    [{ 'sec-fetch-mode': 'cors' }, false, "Node's fetch"],
    [{ 'sec-fetch-site': 'none' }, false, 'what somebody typed'],
    [{ 'sec-fetch-site': 'same-origin', origin: `http://${HOST}` }, false, 'a page of its own'],
    [{ 'sec-fetch-site': 'same-origin', origin: 'https://behind.a.proxy' }, false, 'a page of its own, behind a proxy'],
    [{ 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, true, 'a page from elsewhere'],
    [{ 'sec-fetch-site': 'same-site', origin: 'http://localhost:3000' }, true, 'a page of another port'],
    [{ 'sec-fetch-site': 'cross-site' }, true, 'a page that hides its origin'],
    [{ 'sec-fetch-site': 'cross-site', origin: 'null' }, true, 'a sandboxed page'],
    [{ 'sec-fetch-site': 'cross-site', origin: APP }, false, 'a page that is allowed'],
    [{ 'sec-fetch-site': 'cross-site', origin: `${APP}.evil.example` }, true, 'a page that only looks so'],
    [{ origin: `http://${HOST}` }, false, 'an old browser, a page of its own'],
    [{ origin: 'http://tidings.example' }, true, 'an old browser, another port'],
    [{ origin: 'http://evil.example' }, true, 'a browser on plain http'],
    [{ origin: 'null' }, true, 'a sandboxed page on plain http'],
    [{ origin: APP }, false, 'a page that is allowed, on plain http'],
    [{ origin: 'https://tidings.example', host: 'tidings.example:443' }, false, 'a page of its own, behind a proxy that writes the port'],
    [{ origin: 'http://tidings.example', host: 'Tidings.Example:80' }, false, 'a page of its own, with the port and in capitals'],
    [{ origin: 'https://tidings.example:8443', host: 'tidings.example:8443' }, false, 'a page of its own, of another port'],
    [{ origin: 'http://[::1]:8080', host: '[0:0:0:0:0:0:0:1]:8080' }, false, 'a page of its own, at an address of IPv6'],
    [{ origin: 'http://tidings.example', host: 'tidings.example:443' }, true, 'a page without TLS at a host with TLS'],
    [{ origin: 'https://tidings.example', host: 'tidings.example:8443' }, true, 'another port'],
    [{ origin: 'https://tidings.example', host: 'evil.example@tidings.example' }, true, 'a host that is none'],
    [{ origin: 'https://tidings.example', host: 'tidings.example/x' }, true, 'a host with a path'],
    [{ origin: 'capacitor://localhost', host: 'localhost' }, true, 'an app, whose host is no host'],
    [{ origin: 'chrome-extension://abcdef', host: 'abcdef' }, true, 'an extension'],
    [{ origin: 'null', host: undefined }, true, 'a sandboxed page, where a proxy has dropped the host'],
    [{ origin: 'file://', host: '' }, true, 'a file, where the host is empty'],
  ];
  for (const [headers, foreign, what] of cases) {
    t.equal(isForeignPage({ host: HOST, ...headers }, [APP]), foreign, what);
    t.equal(isForeignPage({ host: HOST, ...headers }, '*'), false, `${what}, where all are allowed`);
  }
  t.end();
});

t.test('a page that may change nothing is told which hosts were compared', (t) => {
  const detail = foreignPageDetail({ origin: 'https://app.example', host: '127.0.0.1:8080' });
  for (const part of ['https://app.example', ' app.example', '127.0.0.1:8080', 'CORS_ORIGINS', 'must pass the Host header on']) t.match(detail, part);
  t.match(foreignPageDetail({ origin: 'null', host: 'a', 'sec-fetch-site': 'cross-site' }), /null.*no name.*Sec-Fetch-Site says cross-site/);
  t.match(foreignPageDetail({ host: 'a', 'sec-fetch-site': 'cross-site' }), 'Sec-Fetch-Site: cross-site');
  t.match(foreignPageDetail({ origin: 'x\u00ff\u001b', host: 'y'.repeat(1000) }), /^[\x20-\x7e]{100,700}$/, 'nothing long or strange of it is repeated');
  t.end();
});

t.test('an allowed page may send every header it asks for, and nothing else is repeated', (t) => {
  const asked = (names: string | undefined): string[] => commonHeaders({ origin: APP, 'access-control-request-headers': names }, [APP], true)['access-control-allow-headers']!.split(', ');
  const usual = asked(undefined);
  t.ok(['Content-Type', 'Last-Event-ID', 'Idempotency-Key', 'TTL', 'Tidings-Event', 'Authorization', 'Cache-Control'].every((name) => usual.includes(name)));
  t.same(asked('content-type,sentry-trace, baggage,traceparent,X-Requested-With,hx-request,hx-request'), [...usual, 'sentry-trace', 'baggage', 'traceparent', 'x-requested-with', 'hx-request']);
  for (const odd of ['', ',', 'a\u00ffb', 'a:b', 'a\r\nb: c']) t.same(asked(odd), usual, JSON.stringify(odd));
  t.end();
});
