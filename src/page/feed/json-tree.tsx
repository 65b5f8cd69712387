import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { count, visible } from '../text.ts';
import { openLevels } from './open-levels.ts';

/** How many members of a value are shown before somebody asks for more. Stops one message from filling the page. */
const SHOWN_MEMBERS_ENTRIES = 100;
/** The same for a text. */
const SHOWN_TEXT_CHARACTERS = 2_000;

/** JSON as a tree. Closed branches are not built: a value may be nested to any depth. @param levels How many levels are open until somebody opens more. */
export function JsonTree({ value, name, levels }: { readonly value: unknown; readonly name?: string; readonly levels?: number }): JSX.Element {
  const open = useMemo(() => levels ?? openLevels(value, SHOWN_MEMBERS_ENTRIES), []);
  const [isOpen, setOpen] = useState(open > 0);
  const [most, setMost] = useState(SHOWN_MEMBERS_ENTRIES);
  const label = name === undefined ? null : <><span class="json-name">{visible(name)}</span>: </>;
  if (typeof value !== 'object' || value === null) return <div class="json-line">{label}<Scalar value={value} /></div>;
  const members = Array.isArray(value) ? value.map((one, index): [string, unknown] => [String(index), one]) : Object.entries(value);
  const summary = Array.isArray(value) ? `[${count(members.length)}]` : `{${count(members.length)}}`;
  if (members.length === 0) return <div class="json-line">{label}{Array.isArray(value) ? '[]' : '{}'}</div>;
  return (
    <details class="json" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{label}<span class="json-size">{summary}</span></summary>
      {isOpen && (
        <div class="json-members">
          {members.slice(0, most).map(([key, one]) => <JsonTree key={key} name={key} value={one} levels={open - 1} />)}
          {members.length > most && <button type="button" class="plain" onClick={() => setMost(most + SHOWN_MEMBERS_ENTRIES)}>{count(members.length - most)} more</button>}
        </div>
      )}
    </details>
  );
}

function Scalar({ value }: { readonly value: unknown }): JSX.Element {
  if (typeof value === 'string') return <LongText text={value} className="json-text" quote='"' />;
  return <span class={`json-${value === null ? 'null' : typeof value}`}>{String(value)}</span>;
}

/** A text, of which a long one shows its beginning. */
export function LongText({ text, className, quote = '' }: { readonly text: string; readonly className?: string; readonly quote?: string }): JSX.Element {
  const [isWhole, setWhole] = useState(false);
  const isLong = text.length > SHOWN_TEXT_CHARACTERS && !isWhole;
  return (
    <>
      <bdi class={className}>{quote}{visible(isLong ? text.slice(0, SHOWN_TEXT_CHARACTERS) : text)}{isLong ? '…' : quote}</bdi>
      {isLong && <button type="button" class="plain" onClick={() => setWhole(true)}>all {count(text.length)} characters</button>}
    </>
  );
}
