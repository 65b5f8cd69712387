import { Passing } from '../client/problem.ts';
import type { Requests } from '../client/requests.ts';
import { answerIn, say } from './outcome.ts';
import { cell, printJson, printTable } from './output.ts';

/** The entries of one page. Every list of the service allows this `limit`; `GET /topics` allows no higher one. */
const PAGE_MAX_ENTRIES = 100;

/** A page of a list. The service may have another version, so the entries' members are not known here. */
export interface Page {
  readonly cursor?: string;
  readonly more?: boolean;
  readonly partial?: boolean;
  readonly missing?: readonly string[];
  readonly [name: string]: unknown;
}

export type Entry = Readonly<Record<string, unknown>>;

export interface List {
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** The member of the answer that has the list. */
  readonly member: string;
  /** The columns of the table. They are the same on every page and for all entries, so that a script can count them. */
  readonly columns: readonly string[];
  /** Changes an entry for the table. `--json` prints it unchanged. */
  readonly shown?: (entry: Entry) => Entry;
  /** The cursor after an entry, for lists whose pages have no `cursor`. */
  readonly after?: (entry: Entry) => string;
  /** The most entries; by default all. */
  readonly limit?: number | undefined;
  readonly json: boolean;
}

/** Prints a list of the service, page by page. */
export async function printList(requests: Requests, { path, query = {}, member, columns, shown = (entry) => entry, after: placeAfter, limit = Infinity, json }: List): Promise<void> {
  let hasHeadings = false;
  let after: string | undefined;
  for (let left = limit; ;) {
    const wanted = { ...query, limit: String(Math.min(left, PAGE_MAX_ENTRIES)), ...(after === undefined ? {} : { after }) };
    const page = await ask(requests, path, wanted);
    const entries = (page[member] ?? []) as readonly Entry[];
    if (json) for (const entry of entries) await printJson(JSON.stringify(entry));
    else if (entries.length > 0) {
      await printEntries(entries.map(shown), columns, hasHeadings);
      hasHeadings = true;
    }
    left -= entries.length;
    sayPartial(page);
    const last = entries.at(-1);
    const next = page.cursor ?? (last === undefined ? undefined : placeAfter?.(last));
    if (page.more !== true || next === undefined) return;
    if (left <= 0) {
      say(`there are more than ${limit}`);
      return;
    }
    after = next;
  }
}

/** Prints a list that has no pages. Without `columns`, the table has a column for each member of the entries. */
export async function printWhole(requests: Requests, { path, member, columns, json }: Pick<List, 'path' | 'member' | 'json'> & Partial<Pick<List, 'columns'>>): Promise<void> {
  const page = await ask(requests, path, {});
  const entries = (page[member] ?? []) as readonly Entry[];
  if (json) for (const entry of entries) await printJson(JSON.stringify(entry));
  else if (entries.length > 0) await printEntries(entries, columns ?? [...new Set(entries.flatMap((entry) => Object.keys(entry)))]);
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

async function printEntries(entries: readonly Entry[], columns: readonly string[], hasHeadings = false): Promise<void> {
  const rows = entries.map((entry) => columns.map((column) => cell(entry[column])));
  await printTable(hasHeadings ? undefined : columns.map(cell), rows);
}

/** Says on standard error that a list is incomplete, so that standard output stays a list. */
export function sayPartial({ partial, missing }: Pick<Page, 'partial' | 'missing'>): void {
  if (partial === true) say(`some instances may have more: they did not answer${missing === undefined ? '' : ` (${missing.map(cell).join(', ')})`}`);
}
