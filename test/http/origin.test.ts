import { t } from 'tap';
import { isForeignPage } from '../../src/http/origin.ts';

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
    [{ origin: 'null', host: undefined }, true, 'a sandboxed page, where a proxy has dropped the host'],
    [{ origin: 'file://', host: '' }, true, 'a file, where the host is empty'],
  ];
  for (const [headers, foreign, what] of cases) {
    t.equal(isForeignPage({ host: HOST, ...headers }, [APP]), foreign, what);
    t.equal(isForeignPage({ host: HOST, ...headers }, '*'), false, `${what}, where all are allowed`);
  }
  t.end();
});
