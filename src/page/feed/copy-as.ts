import { BASE } from '../api.ts';
import { shellQuoted } from '../text.ts';
import type { FeedWish } from './feed.ts';

/** The watched topics as commands for other clients. The reader's key is a variable, and never written out. A topic that a stranger named is quoted, and does nothing else. */
export const COPIES: readonly (readonly [name: string, text: (wish: FeedWish, hasToken: boolean) => string])[] = [
  ['curl', (wish, hasToken) => `curl -N ${credential(hasToken)}${shellQuoted(url(wish))}`],
  ['EventSource', (wish, hasToken) => `${hasToken ? '// It sends no key: it needs a session (POST /session), or a ticket in its URL (POST /tickets).\n' : ''}const events = new EventSource(${script(url(wish))});\nevents.onmessage = ({ data }) => console.log(JSON.parse(data));`],
  ['client library', ({ topics, from }, hasToken) => [
    `import { connect } from ${script(`${BASE}client.js`)};`,
    `const tidings = connect(${script(BASE)}${hasToken ? ', { getToken: () => key }' : ''});`,
    ...topics.map((topic) => `tidings.subscribe(${script(topic)}${options(from)}).on('any', ({ topic, event, data }) => console.log(topic, event, data));`),
  ].join('\n')],
  ['command line', ({ topics, from }, hasToken) => `${hasToken ? 'TIDINGS_TOKEN="$KEY" ' : ''}npx tidings subscribe ${topics.map(shellQuoted).join(' ')} ${flag(from)}--url ${shellQuoted(BASE.replace(/\/$/, ''))}`],
];

/** For curl, from the variable `KEY` of the shell. */
export function credential(hasToken: boolean): string {
  return hasToken ? '-u ":$KEY" ' : '';
}

function url({ topics, from }: FeedWish): string {
  const search = new URLSearchParams(topics.map((topic) => ['topic', topic]));
  const [name, value] = start(from);
  if (name !== undefined) search.set(name, value);
  return `${BASE}events?${search.toString()}`;
}

function start(from: string): readonly [name: string, value: string] | readonly [name: undefined] {
  if (from === 'start') return ['after', 'start'];
  const colon = from.indexOf(':');
  return colon === -1 ? [undefined] : [from.slice(0, colon), from.slice(colon + 1)];
}

function options(from: string): string {
  const [name, value] = start(from);
  return name === undefined ? '' : `, { ${name}: ${name === 'last' ? value : script(value)} }`;
}

function flag(from: string): string {
  const [name, value] = start(from);
  return name === undefined ? '' : `--${name} ${shellQuoted(value)} `;
}

/** A text in JavaScript; in a page, too, where `</script>` would end it. */
function script(text: string): string {
  return JSON.stringify(text).replaceAll('<', String.raw`\u003c`);
}
