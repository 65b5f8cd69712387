import type { HistoryPage } from '../../delivery/long-polls.ts';
import { jsonPieces } from '../../model/message.ts';
import type { Slices } from '../../runtime/slices.ts';

const PAGE_BEGINNING = Buffer.from('{"messages":[');
const BETWEEN_MESSAGES = Buffer.from(',');
/** For people who read it in a terminal. */
export const NEW_LINE = Buffer.from('\n');

/** The data of messages stands in it as it was published: it is put together, not serialised. A large page is put together in slices, because its text takes tens of milliseconds. */
export async function pageBody({ messages, cursor, more, gap }: HistoryPage, slices: Slices): Promise<Buffer> {
  const parts: Uint8Array[] = [PAGE_BEGINNING];
  await slices.enter();
  try {
    for (const [index, message] of messages.entries()) {
      if (index > 0) parts.push(BETWEEN_MESSAGES);
      for (const piece of jsonPieces(message)) {
        parts.push(piece);
        if (slices.isOver) await slices.pause();
      }
    }
    const rest = JSON.stringify({ cursor, more, gap });
    parts.push(Buffer.from(`],${rest.slice(1)}`), NEW_LINE);
    return Buffer.concat(parts);
  } finally {
    slices.leave();
  }
}
