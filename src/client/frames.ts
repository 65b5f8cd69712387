/** Reads an event stream by the rules of the HTML standard (9.2.6, "Interpreting an event stream"). Lines end in a line feed alone, as the service writes them. */

/** Stops a server that never ends an event from filling the memory. Characters. */
const FRAME_MAX_CHARACTERS = 64 * 1024 * 1024;

export interface Frame {
  readonly event: string;
  readonly data: string;
  /** The event's own id; undefined if it has none. (The last event id of the standard is the caller's cursor.) */
  readonly id: string | undefined;
}

/** Gets each event, and each reconnection time (`retry:`). */
export interface FrameListener {
  frame(frame: Frame): void;
  retry(milliseconds: number): void;
}

/**
 * @returns A function that takes the stream's text in pieces, cut anywhere.
 * @throws RangeError from that function, if an event exceeds the bound
 */
export function frames(listener: FrameListener): (text: string) => void {
  let line = '';
  let event = '';
  let data: string[] = [];
  let id: string | undefined;
  let characters = 0;

  /** Takes one whole line. An empty line ends the event. */
  const takeLine = (): void => {
    const [, field, value] = /([^:]*):? ?(.*)/s.exec(line)!;
    if (field === 'data') data.push(value!);
    else if (field === 'event') event = value!;
    else if (field === 'id' && !value!.includes('\0')) id = value;
    else if (field === 'retry' && /^\d+$/.test(value!)) listener.retry(Number(value));
    if (line !== '') return;
    const frame = { event: event || 'message', data: data.join('\n'), id };
    const isEvent = data.length > 0;
    event = '';
    data = [];
    id = undefined;
    characters = 0;
    if (isEvent) listener.frame(frame);
  };

  return (text) => {
    characters += text.length;
    if (characters > FRAME_MAX_CHARACTERS) throw new RangeError('Too long');
    const [first, ...lines] = text.split('\n');
    line += first!;
    for (const next of lines) {
      takeLine();
      line = next;
    }
  };
}
