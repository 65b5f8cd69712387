import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from '../../api.ts';
import { ErrorNote, Field } from '../../parts.tsx';
import { count } from '../../text.ts';
import { REPEAT_MAX_MESSAGES, REPEAT_SECOND_MAX_MESSAGES, repeat, type Tally } from './repetition.ts';

/** These refusals pass by themselves: no answer, a timeout, a limit, an overloaded service. */
const PASSING: ReadonlySet<number> = new Set([0, 408, 429, 503]);

/** Sends the draft again and again. It stops when the person leaves the view or signs out. @param begin Called at the beginning: it returns the draft to send. */
export function RepeatForm({ isGood, begin }: { readonly isGood: boolean; readonly begin: () => (signal: AbortSignal) => Promise<void> }): JSX.Element {
  const [perSecond, setPerSecond] = useState('2');
  const [messages, setMessages] = useState('100');
  const [tally, setTally] = useState<Tally>();
  const [isRunning, setRunning] = useState(false);
  const running = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const run = async (): Promise<void> => {
    const abort = running.current = new AbortController();
    setRunning(true);
    await repeat({
      perSecond: Number(perSecond), messages: Number(messages), signal: abort.signal, send: begin(), tell: setTally,
      isFinal: (error) => !(error instanceof ApiError) || !PASSING.has(error.status),
      pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    });
    setRunning(false);
  };

  return (
    <details class="more">
      <summary>Repeat at a rate</summary>
      <form onSubmit={(event) => {
        event.preventDefault();
        void run();
      }}>
        <div class="pair">
          <Field label="Messages a second" hint={`${REPEAT_SECOND_MAX_MESSAGES} at most`}>{(attributes) => <input {...attributes} type="number" required min={1} max={REPEAT_SECOND_MAX_MESSAGES} step={1} disabled={isRunning} value={perSecond} onInput={(event) => setPerSecond(event.currentTarget.value)} />}</Field>
          <Field label="Messages in all" hint={`${count(REPEAT_MAX_MESSAGES)} at most`}>{(attributes) => <input {...attributes} type="number" required min={1} max={REPEAT_MAX_MESSAGES} step={1} disabled={isRunning} value={messages} onInput={(event) => setMessages(event.currentTarget.value)} />}</Field>
        </div>
        <div class="actions">{isRunning ? <button type="button" onClick={() => running.current?.abort()}>Stop</button> : <button type="submit" disabled={!isGood}>Begin</button>}</div>
      </form>
      {tally !== undefined && <p class="hint tally" role={isRunning ? undefined : 'status'}>{count(tally.sent)} sent, {count(tally.stored)} stored, {count(tally.refused)} refused{isRunning ? '' : '. It has stopped.'}</p>}
      {tally?.error !== undefined && <ErrorNote error={tally.error} />}
    </details>
  );
}
