/**
 * Each option and its kind. The kind is the text of the error. To keep the library small, `check` also reads the rule from it:
 *
 * - `a string` allows that type;
 * - `"sse" or "websocket"` allows these texts;
 * - `a number from 0 to 1000` allows whole numbers within these bounds.
 */
type Kinds = Readonly<Record<string, string>>;

const SIGNAL = { signal: 'an AbortSignal object' };
const BEGINNING = { since: 'a string', after: 'a string', last: 'a number from 0 to 1000' };

export const CONNECT = {
  getToken: 'a function', credentials: '"same-origin", "include" or "omit"', store: '"memory", "session", "local" or an object', staleAfter: 'a number from 1',
  share: 'a boolean or a string', fallback: '"long-poll" or "none"', transport: '"sse" or "websocket"', as: 'a string', meta: 'an object', fetch: 'a function',
};
export const SUBSCRIBE = { ...BEGINNING, getState: 'a function' };
export const STREAM = { ...BEGINNING, ...SIGNAL };
export const PUBLISH = { event: 'a string', ttl: 'a number from 1', idempotencyKey: 'a string', ...SIGNAL };

/** @param first The name of the first parameter, a string. @throws TypeError that names the parameter or option */
export function checkOptions(first: string, value: unknown, options: object = {}, kinds: Kinds = {}): void {
  check(first, value, 'a string');
  check('options', options, 'an object');
  for (const [name, option] of Object.entries(options)) {
    if (!Object.hasOwn(kinds, name)) throw new TypeError(`There is no option "${name}", only ${Object.keys(kinds).join(', ')}.`);
    check(name, option, kinds[name]!);
  }
}

function check(name: string, value: unknown, kind: string): void {
  const [least, most = Infinity] = kind.match(/\d+/g)?.map(Number) ?? [];
  const isGood = typeof value === 'number' ? Number.isInteger(value) && value >= least! && value <= most
    : value !== null && (kind.includes(typeof value) || kind.includes(JSON.stringify(value)));
  if (value !== undefined && !isGood) throw new TypeError(`${name} must be ${kind}.`);
}
