import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { CopyButton, Raw, useEscape } from '../parts.tsx';
import { href } from '../route.ts';
import { bytes, jsonText } from '../text.ts';
import type { MessageRow } from './feed-log.ts';
import { JsonTree, LongText } from './json-tree.tsx';

const encoder = new TextEncoder();

/** A message, whole. */
export function MessageDetail({ row: { message, text, form, isErased }, isSought = false, onClose }: { readonly row: MessageRow; readonly isSought?: boolean; readonly onClose: () => void }): JSX.Element {
  const section = useRef<HTMLElement>(null);
  const value = useMemo((): unknown => form === 'JSON' && !isErased ? JSON.parse(text) : undefined, [text, form, isErased]);
  useEffect(() => {
    if (isSought) section.current?.scrollIntoView({ block: 'nearest' });
  }, []);
  useEscape(onClose);
  const isShown = !isErased && form !== 'deep';
  return (
    <section class="detail" ref={section} aria-label="Message">
      <header>
        <h2><Raw text={message.topic} /></h2>
        <button type="button" onClick={onClose}>Close</button>
      </header>
      <dl class="facts">
        <dt>Id</dt><dd><code>{message.id}</code> <CopyButton className="small" text={message.id} /></dd>
        <dt>Time</dt><dd>{message.time}</dd>
        <dt>Event</dt><dd><Raw text={message.event} /></dd>
        <dt>Data</dt><dd>{isErased ? 'erased' : form === 'deep' ? text : `${form}, ${bytes(encoder.encode(text).length)}`}</dd>
      </dl>
      {isShown && <div class="data">{form === 'text' ? <pre><LongText text={text} /></pre> : <JsonTree value={value} />}</div>}
      <div class="actions">
        {isShown && <CopyButton text={() => form === 'text' ? text : jsonText(value, 2) ?? text} label="Copy data" />}
        <a class="button" href={href('messages', message.id)}>Its page</a>
        <a class="button" href={href('topics', message.topic)}>Its topic</a>
      </div>
    </section>
  );
}
