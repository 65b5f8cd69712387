import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { CopyButton, Raw } from '../parts.tsx';
import { href } from '../route.ts';
import { bytes, jsonText } from '../text.ts';
import type { MessageRow } from './feed-log.ts';
import { JsonTree, LongText } from './json-tree.tsx';

const encoder = new TextEncoder();

/** A message, whole. */
export function MessageDetail({ row: { message, text, isText, isErased }, isSought = false, onClose }: { readonly row: MessageRow; readonly isSought?: boolean; readonly onClose: () => void }): JSX.Element {
  const section = useRef<HTMLElement>(null);
  useEffect(() => {
    if (isSought) section.current?.scrollIntoView({ block: 'nearest' });
  }, []);
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
        <dt>Data</dt><dd>{isErased ? 'erased' : `${isText ? 'text' : 'JSON'}, ${bytes(encoder.encode(text).length)}`}</dd>
      </dl>
      {!isErased && <div class="data">{isText ? <pre><LongText text={text} /></pre> : <JsonTree value={message.data} />}</div>}
      <div class="actions">
        {!isErased && <CopyButton text={() => isText ? text : jsonText(message.data, 2) ?? text} label="Copy data" />}
        <a class="button" href={href('topics', message.topic)}>Its topic</a>
      </div>
    </section>
  );
}
