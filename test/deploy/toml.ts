export type Value = string | number | boolean | readonly Value[];
export interface Table { [key: string]: Value | Table | Table[] }

/**
 * Reads what TOML fly.toml uses: tables, lists of tables, and on one line each strings, whole numbers, booleans and lists of them.
 * Anything else is an error: no parser of TOML is among the packages, and one that guesses would make a test of no worth.
 */
export function parseToml(text: string): Table {
  const root: Table = {};
  let table = root;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const header = /^(\[\[?)([A-Za-z0-9_.-]+)(\]\]?)$/.exec(line);
    const pair = /^([A-Za-z0-9_-]+) = (.+)$/.exec(line);
    if (header !== null && header[1]!.length === header[3]!.length) table = open(root, header[2]!.split('.'), header[1] === '[[');
    else if (pair !== null && !(pair[1]! in table)) table[pair[1]!] = value(pair[2]!);
    else throw new Error(`Line ${index + 1} is no TOML that is read here: ${line}`);
  }
  return root;
}

function open(root: Table, path: readonly string[], isList: boolean): Table {
  let table = root;
  for (const name of path.slice(0, -1)) {
    const next = (table[name] ??= {});
    table = (Array.isArray(next) ? next.at(-1) : next) as Table;
  }
  const name = path.at(-1)!;
  const made: Table = {};
  if (!isList) {
    if (name in table) throw new Error(`[${path.join('.')}] comes twice`);
    return table[name] = made;
  }
  const list = (table[name] ??= []) as Table[];
  list.push(made);
  return made;
}

/** A string without escapes, a whole number, a boolean, and lists of them are written as in JSON. */
function value(text: string): Value {
  if (text.includes('\\') || !/^("[^"]*"|-?[0-9]+|true|false|\[.*\])$/.test(text)) throw new Error(`No value that is read here: ${text}`);
  return JSON.parse(text) as Value;
}
