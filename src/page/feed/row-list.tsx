import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { clock, visible } from '../text.ts';
import type { FeedRow } from './feed-log.ts';

/** Rows beyond the visible ones, above and below. */
const MARGIN_ROWS = 8;
/** A row shows one line of a text. Stops a long one from being laid out. */
const LINE_CHARACTERS = 300;

/** The height of a row, as page.css has it: on a phone it has two lines. */
const NARROW = matchMedia('(max-width: 720px)');
const rowHeight = (): number => NARROW.matches ? 56 : 32;

/**
 * The newest rows first, and only the visible ones: ten thousand cost no more than thirty. A reader who has scrolled down stays at the rows in view.
 * @param rows The oldest first.
 */
export function RowList({ rows, selected, onSelect }: { readonly rows: readonly FeedRow[]; readonly selected: number | undefined; readonly onSelect: (row: FeedRow) => void }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600, row: rowHeight() });
  const newest = useRef(rows.at(-1)?.key);
  const { row: height } = view;

  useEffect(() => {
    const element = box.current!;
    const measure = (): void => setView({ top: element.scrollTop, height: element.clientHeight, row: rowHeight() });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener('scroll', measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', measure);
    };
  }, []);

  useLayoutEffect(() => {
    const before = newest.current;
    newest.current = rows.at(-1)?.key;
    const element = box.current!;
    if (before === undefined || element.scrollTop === 0) return;
    let added = 0;
    for (let index = rows.length - 1; index >= 0 && rows[index]!.key > before; index--) added++;
    if (added > 0) element.scrollTop += added * height;
  }, [rows.length, rows.at(-1)?.key]);

  const first = Math.max(0, Math.floor(view.top / height) - MARGIN_ROWS);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / height) + MARGIN_ROWS);
  const seen: FeedRow[] = [];
  for (let index = first; index < last; index++) seen.push(rows[rows.length - 1 - index]!);

  const move = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowDown' ? 'nextElementSibling' : event.key === 'ArrowUp' ? 'previousElementSibling' : undefined;
    if (step === undefined) return;
    event.preventDefault();
    const next = document.activeElement?.[step];
    if (next instanceof HTMLElement) next.focus();
  };

  return (
    <div class="rows" ref={box} onKeyDown={move} role="log" aria-label="Messages" aria-live="off" tabindex={0}>
      <div class="rows-all" style={{ height: `${rows.length * height}px` }}>
        <div style={{ transform: `translateY(${first * height}px)` }}>
          {seen.map((row) => <Line key={row.key} row={row} isSelected={row.key === selected} onSelect={onSelect} />)}
        </div>
      </div>
    </div>
  );
}

function Line({ row, isSelected, onSelect }: { readonly row: FeedRow; readonly isSelected: boolean; readonly onSelect: (row: FeedRow) => void }): JSX.Element {
  if (row.kind === 'note') {
    return (
      <div class={`row row-note ${row.tone}`}>
        <time dateTime={row.time}>{clock(row.time)}</time>
        <span class="row-name">{visible(row.name)}{row.times > 1 && ` ×${row.times}`}</span>
        <bdi class="row-text" title={visible(row.text)}>{line(row.text)}</bdi>
      </div>
    );
  }
  const { message, text, isErased } = row;
  return (
    <button type="button" class="row row-message" aria-pressed={isSelected} onClick={() => onSelect(row)}>
      <time dateTime={message.time}>{clock(message.time)}</time>
      <bdi class="row-topic" title={visible(message.topic)}>{visible(message.topic)}</bdi>
      {message.event === 'message' ? <span class="row-event" /> : <bdi class="row-event" title={visible(message.event)}>{visible(message.event)}</bdi>}
      {isErased ? <em class="row-text">erased</em> : <bdi class="row-text">{line(text)}</bdi>}
    </button>
  );
}

function line(text: string): string {
  return visible(text.slice(0, LINE_CHARACTERS).replaceAll(/\s+/g, ' '));
}
