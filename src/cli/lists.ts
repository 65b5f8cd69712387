import { Passing, type Requests } from '../client/requests.ts';
import { answerIn, say } from './outcome.ts';
import { cell, printJson, printTable } from './output.ts';

/** How many are asked for at once. */
const PAGE_MAX_ENTRIES = 500;

/** An answer of the service, of whichever version: its list has a name of its own, and the entries have what members they have. */
interface Page {
  readonly cursor?: string;
  readonly more?: boolean;
  readonly partial?: boolean;
  readonly missing?: readonly string[];
  readonly [name: string]: unknown;
}

type Entry = Readonly<Record<string, unknown>>;

export interface List {
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** What the list is called in the answer. */
  readonly member: string;
  /** How many at most; by default all. */
  readonly limit?: number | undefined;
  readonly json: boolean;
}

/** Prints a list of the service, however many pages it has. */
export async function printList(requests: Requests, { path, query = {}, member, limit = Infinity, json }: List): Promise<void> {
  let columns: readonly string[] | undefined;
  let after: string | undefined;
  for (let left = limit; ;) {
    const wanted = { ...query, limit: String(Math.min(left, PAGE_MAX_ENTRIES)), ...(after === undefined ? {} : { after }) };
    const page = await ask(requests, path, wanted);
    const entries = (page[member] ?? []) as readonly Entry[];
    if (json) for (const entry of entries) await printJson(JSON.stringify(entry));
    else columns = await printEntries(entries, columns);
    left -= entries.length;
    sayPartial(page);
    if (page.more !== true || page.cursor === undefined) return;
    if (left <= 0) {
      say(`there are more than ${limit}`);
      return;
    }
    after = page.cursor;
  }
}

/** An answer that is a list as a whole. */
export async function printWhole(requests: Requests, { path, member, json }: List): Promise<void> {
  const page = await ask(requests, path, {});
  const entries = (page[member] ?? []) as readonly Entry[];
  if (json) for (const entry of entries) await printJson(JSON.stringify(entry));
  else await printEntries(entries);
  sayPartial(page);
}

async function ask(requests: Requests, path: string, query: Readonly<Record<string, string | undefined>>): Promise<Page> {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const answer = await requests.send(given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`, { signal: new AbortController().signal });
  const text = await answer.text().catch((error: unknown) => {
    throw new Passing(error);
  });
  return answerIn<Page>(text);
}

/** @returns The columns: the members of the first page's entries, in their order. Later pages have the same. */
async function printEntries(entries: readonly Entry[], known?: readonly string[]): Promise<readonly string[] | undefined> {
  if (entries.length === 0) return known;
  const columns = known ?? [...new Set(entries.flatMap((entry) => Object.keys(entry)))];
  const rows = entries.map((entry) => columns.map((column) => cell(entry[column])));
  await printTable(known === undefined ? columns.map(cell) : undefined, rows);
  return columns;
}

/** An incomplete list is called so on standard error, and standard output stays a list. */
function sayPartial({ partial, missing }: Pick<Page, 'partial' | 'missing'>): void {
  if (partial === true) say(`some instances may have more: they did not answer${missing === undefined ? '' : ` (${missing.map(cell).join(', ')})`}`);
}
