import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { t } from 'tap';
import { ENDPOINTS, type Endpoint } from '../../src/http/admission/endpoints.ts';

/** The table of endpoints, and the documents. */

const ROOT = join(import.meta.dirname, '../..');

/** Only our page and our client library ask for these. */
const UNDOCUMENTED: readonly Endpoint[] = [ENDPOINTS.pageFile, ENDPOINTS.clientModule];

/** The path as a document may write it: alone or after a host, and with any text in the place of a name. A longer path is another one. */
function written(url: string): RegExp {
  const path = url.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^\\s/?`\'"]+');
  return new RegExp(`(?<=^|[\\s\`'"(]|://[\\w.:-]+)${path}${/:\w+$/.test(url) ? '(?![^\\s?`\'"])' : '(?![\\w/])'}`);
}

t.test('the path of one endpoint does not count for another', (t) => {
  for (const text of ['`POST /keys/{id}/rotate`', '/keys/:id/rotate', '/keys/3k9f2m7q1x8d/rotate']) t.notMatch(text, written('/keys/:id'), text);
  for (const text of ['`GET /keys/{id}`', '/keys/3k9f2m7q1x8d?x=1', "'http://127.0.0.1:8080/keys/x'", '| /keys/{id} |']) t.match(text, written('/keys/:id'), text);
  t.notMatch('`GET /keys/{id}`', written('/keys'));
  t.end();
});

t.test('a document has the path of each endpoint', async (t) => {
  const names = ['README.md', ...readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];
  const text = names.map((name) => readFileSync(join(ROOT, name), 'utf8')).join('\n');
  const missing = Object.values<Endpoint>(ENDPOINTS).filter((endpoint) => !UNDOCUMENTED.includes(endpoint) && !written(endpoint.url).test(text));
  t.same(missing.map(({ methods, url }) => `${methods[0]} ${url}`), [], 'describe each in docs/, where clients look for it: docs/protocol.md, or the page of its subject');
});
