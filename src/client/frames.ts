/** Reads an event stream by the rules of the HTML standard (9.2.6, "Interpreting an event stream"). Lines end in a line feed alone, as the service writes them. */

/** Stops a server that never ends an event from filling the memory. Characters. */
const FRAME_MAX_CHARACTERS = 64 * 1024 * 1024;

export interface Frame {
  readonly event: string;
  readonly data: string;
  /** The id that the event brought; undefined where it brought none. */
  readonly id: string | undefined;
}

/** What the stream says: a frame, or `retry:` in milliseconds. */
export interface FrameListener {
  frame(frame: Frame): void;
  retry(milliseconds: number): void;
}

/** @returns Takes the text as it arrives, however it was cut. */
export function frames(listener: FrameListener): (text: string) => void {
  let line = '';
  let event = '';
  let data: string[] = [];
  let id: string | undefined;
  let characters = 0;

  const take = (): void => {
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
      take();
      line = next;
    }
  };
}
