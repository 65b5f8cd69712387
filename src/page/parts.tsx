import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { ApiError, messageOf } from './api.ts';
import type { Loaded } from './load.ts';
import { timeOfDay, visible } from './text.ts';

/** The components that several views share. */

/** How long a button shows "copied". */
const COPIED_MS = 2_000;

/** Text of strangers: never HTML, and it turns nothing around it. */
export function Raw({ text, className }: { readonly text: string; readonly className?: string }): JSX.Element {
  return <bdi class={className}>{visible(text)}</bdi>;
}

export function Field({ label, hint, children }: { readonly label: string; readonly hint?: ComponentChildren; readonly children: (attributes: { readonly id: string; readonly 'aria-describedby'?: string }) => ComponentChildren }): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children(hint === undefined ? { id } : { id, 'aria-describedby': `${id}-hint` })}
      {hint !== undefined && <div class="hint" id={`${id}-hint`}>{hint}</div>}
    </div>
  );
}

export function CopyButton({ text, label = 'Copy', className = '' }: { readonly text: string | (() => string); readonly label?: string; readonly className?: string }): JSX.Element {
  const [said, setSaid] = useState<string>();
  useEffect(() => {
    if (said === undefined) return;
    const timer = setTimeout(() => setSaid(undefined), COPIED_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async (): Promise<void> => {
    try {
      await copyText(typeof text === 'string' ? text : text());
      setSaid('Copied');
    } catch {
      setSaid('Not possible here');
    }
  };
  return <button type="button" class={className} onClick={() => void copy()}><span aria-live="polite">{said ?? label}</span></button>;
}

/** Without TLS there is no clipboard but that of a selection. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  if (!isCopied) throw new Error('The browser does not let this page copy.');
}

/** Calls `onEscape` when a person presses Escape. A dialog or a menu on top takes the key first. */
export function useEscape(onEscape: () => void): void {
  const latest = useRef(onEscape);
  latest.current = onEscape;
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.key !== 'Escape' || event.defaultPrevented || document.querySelector('dialog[open]') !== null) return;
      event.preventDefault();
      latest.current();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}

/** A menu behind a button. It closes on Escape, on a click elsewhere, and when the focus leaves it. */
export function Menu({ title, children }: { readonly title: string; readonly children: ComponentChildren }): JSX.Element {
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const menu = box.current!;
    const elsewhere = ({ target }: Event): void => {
      if (target instanceof Node && !menu.contains(target)) menu.open = false;
    };
    const pressed = (event: KeyboardEvent): void => {
      if (event.key !== 'Escape' || !menu.open) return;
      event.preventDefault();
      menu.open = false;
      menu.querySelector('summary')?.focus();
    };
    addEventListener('pointerdown', elsewhere);
    addEventListener('focusin', elsewhere);
    // Before all others: the menu is on top.
    addEventListener('keydown', pressed, true);
    return () => {
      removeEventListener('pointerdown', elsewhere);
      removeEventListener('focusin', elsewhere);
      removeEventListener('keydown', pressed, true);
    };
  }, []);
  return (
    <details class="menu" ref={box}>
      <summary class="button">{title}</summary>
      <div>{children}</div>
    </details>
  );
}

export function Command({ text }: { readonly text: string }): JSX.Element {
  return <div class="command"><pre tabindex={0} aria-label="Command"><code>{text}</code></pre><CopyButton text={text} /></div>;
}

export function Empty({ title, children }: { readonly title: string; readonly children?: ComponentChildren }): JSX.Element {
  return <div class="empty"><p class="empty-title">{title}</p>{children}</div>;
}

export function ErrorNote({ error, retry }: { readonly error: unknown; readonly retry?: () => void }): JSX.Element {
  const code = error instanceof ApiError ? error.code : undefined;
  return (
    <div class="note bad" role="alert">
      <span>{visible(messageOf(error))}{code !== undefined && <> <code>{code}</code></>}</span>
      {retry !== undefined && <button type="button" onClick={retry}>Try again</button>}
    </div>
  );
}

/** Shows something that is loaded, or why it is not there. While nothing newer comes, it says from which time the thing is. */
export function Shown<Value>({ of: { value, at, error, isLoading, isLate, reload }, children }: { readonly of: Loaded<Value>; readonly children: (value: Value) => ComponentChildren }): JSX.Element {
  const isOld = value !== undefined && at !== undefined && (error !== undefined || isLate);
  return (
    <>
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      {(isOld || isLate) && (
        <p class="note warn" role="status"><span>
          {error === undefined && 'The service takes long to answer. '}{isOld && <>What is shown was so at <time dateTime={new Date(at).toISOString()}>{timeOfDay(at)}</time>; what has happened since is not known here.</>}
        </span></p>
      )}
      {value === undefined ? isLoading && <p class="loading" role="status">Loading…</p> : children(value)}
    </>
  );
}

/** Other instances may have more. */
export function Partial({ of: { partial, missing = [] } }: { readonly of: { readonly partial?: true; readonly missing?: readonly string[] } }): JSX.Element | null {
  if (partial !== true) return null;
  return <p class="note warn" role="status"><span>Some instances did not answer{missing.length > 0 && <>: <code>{missing.join(', ')}</code></>}. There may be more than is shown.</span></p>;
}

/** Between the pages of a list. @param after The cursor of this page; undefined for the first one. @param next The cursor of the next page, if there is one. */
export function Pages({ after, next, onPage }: { readonly after: string | undefined; readonly next: string | undefined; readonly onPage: (after: string | undefined) => void }): JSX.Element {
  return (
    <div class="actions">
      {after !== undefined && <button type="button" onClick={() => onPage(undefined)}>To the first page</button>}
      {next !== undefined && <button type="button" onClick={() => onPage(next)}>Next page</button>}
    </div>
  );
}

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  readonly isNumber?: true;
  /** For the sorting; a column without it is not sorted. */
  readonly sort?: () => void;
  readonly isSorted?: boolean;
}

/** A table, which on a phone becomes a list of cards. */
export function Table<Row>({ caption, columns, rows, keyOf }: { readonly caption: string; readonly columns: readonly Column<Row>[]; readonly rows: readonly Row[]; readonly keyOf: (row: Row) => string }): JSX.Element {
  return (
    <table>
      <caption class="unseen">{caption}</caption>
      <thead>
        <tr>{columns.map(({ title, isNumber, sort, isSorted }) => (
          <th key={title} scope="col" class={isNumber === true ? 'number' : ''} aria-sort={isSorted === true ? 'other' : undefined}>
            {sort === undefined ? title === '' ? <span class="unseen">Actions</span> : title : <button type="button" class="plain" onClick={sort}>{title}{isSorted === true ? ' ▾' : ''}</button>}
          </th>
        ))}</tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>{columns.map(({ title, cell, isNumber }) => <td key={title} data-label={title} class={isNumber === true ? 'number' : ''}><div>{cell(row)}</div></td>)}</tr>
        ))}
      </tbody>
    </table>
  );
}

/** A secret, which is shown once. @param name What it is called. */
export function Secret({ secret, name, children }: { readonly secret: string; readonly name: string; readonly children: ComponentChildren }): JSX.Element {
  const note = useRef<HTMLDivElement>(null);
  // It may be made from a button far below, and is not shown again.
  useEffect(() => note.current?.scrollIntoView({ block: 'center' }), [secret]);
  return (
    <div class="note good made" role="status" ref={note}>
      <p>{children}</p>
      <div class="command"><pre tabindex={0} aria-label={`The ${name}`}><code>{secret}</code></pre><CopyButton text={secret} label={`Copy ${name}`} /></div>
    </div>
  );
}

/** Asks before something that cannot be taken back. */
export function Confirm({ title, action, onConfirm, onClose, children }: { readonly title: string; readonly action: string; readonly onConfirm: () => Promise<void>; readonly onClose: () => void; readonly children: ComponentChildren }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const confirm = async (): Promise<void> => {
    setBusy(true);
    try {
      await onConfirm();
      dialog.current?.close();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby={id}>
      <form class="plain-form" onSubmit={(event) => {
        event.preventDefault();
        void confirm();
      }}>
        <h2 id={id}>{title}</h2>
        {children}
        {error !== undefined && <ErrorNote error={error} />}
        <div class="actions">
          <button type="button" onClick={() => dialog.current?.close()}>Cancel</button>
          <button type="submit" class="danger" disabled={isBusy}>{action}</button>
        </div>
      </form>
    </dialog>
  );
}

export function Chip({ tone, children }: { readonly tone: 'good' | 'warn' | 'bad' | 'quiet'; readonly children: ComponentChildren }): JSX.Element {
  return <span class={`chip ${tone}`}>{children}</span>;
}
