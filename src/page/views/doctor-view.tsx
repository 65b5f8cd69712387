import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { matches } from '../../client/topics.ts';
import { BASE, type Api, type Index } from '../api.ts';
import { CopyButton, Field } from '../parts.tsx';
import { visible } from '../text.ts';
import { diagnose, doctorTopic, isOwnTopic, type Finding, type Level } from './doctor-checks.ts';

const SIGNS: Readonly<Record<Level, string>> = { good: '✓', warn: '!', bad: '✗', unseen: '–' };
const WORDS: Readonly<Record<Level, string>> = { good: 'good', warn: 'to look at', bad: 'wrong', unseen: 'not seen' };

/** Checks the proxies between this browser and the service. It opens and publishes nothing before a click on the button. */
export function DoctorView({ api, you }: { readonly api: Api; readonly you: Index['you'] }): JSX.Element {
  const [first] = useState(() => firstTopic(you));
  const [topic, setTopic] = useState(first.topic);
  const [publishes, setPublishes] = useState(you.publish && first.isOwn);
  const [findings, setFindings] = useState<readonly Finding[]>([]);
  const [isRunning, setRunning] = useState(false);
  const running = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => running.current?.abort(), [api]);

  const look = (): void => {
    running.current?.abort();
    const abort = running.current = new AbortController();
    setFindings([]);
    setRunning(true);
    void diagnose({ api, topic: topic.trim(), publishes, signal: abort.signal, tell: (finding) => {
      if (!abort.signal.aborted) setFindings((before) => [...before, finding]);
    } }).finally(() => {
      if (running.current === abort) setRunning(false);
    });
  };

  const report = (): string => [`Tidings at ${BASE}, seen by ${navigator.userAgent}, ${new Date().toISOString()}`, ...findings.map(({ check, level, text }) => `${SIGNS[level]} ${check}: ${text}`)].join('\n');
  const hasLooked = isRunning || findings.length > 0;
  return (
    <section class="panel narrow" aria-labelledby="doctor-title">
      <header class="panel-head"><h1 id="doctor-title">Connection doctor</h1></header>
      <p>It looks for what lies between this browser and the service: it asks whether the service is ready, opens one stream, and waits for a sign of life there.</p>
      <form onSubmit={(event) => {
        event.preventDefault();
        look();
      }}>
        <Field label="Topic of the stream" hint={isOwnTopic(topic) ? 'Nobody else has this topic.' : 'Others may listen to this topic, and get the message.'}>
          {(attributes) => <input {...attributes} required disabled={isRunning} value={topic} spellcheck={false} autocapitalize="off" autocomplete="off" onInput={(event) => setTopic(event.currentTarget.value)} />}
        </Field>
        {you.publish
          ? <label class="check"><input type="checkbox" disabled={isRunning} checked={publishes} onChange={(event) => setPublishes(event.currentTarget.checked)} /> Publish one message there, to see how fast it comes back</label>
          : <p class="hint">How fast a message comes back takes the grant <code>publish</code>, which this key or token does not have. The other checks do without.</p>}
        <div class="actions">
          <button type="submit" class="main" disabled={isRunning}>{hasLooked ? 'Look again' : 'Look'}</button>
          {isRunning && <button type="button" onClick={() => running.current?.abort()}>Stop</button>}
          {findings.length > 0 && <CopyButton text={report} label="Copy as text" />}
        </div>
      </form>
      {hasLooked && (
        <ul class="findings" aria-live="polite">
          {findings.map(({ check, level, text }) => <li key={check} class={level === 'unseen' ? 'quiet' : level}><span class="sign" aria-hidden="true">{SIGNS[level]}</span><strong>{check}</strong> <span class="unseen">{WORDS[level]}: </span><span>{visible(text)}</span></li>)}
          {isRunning && <li class="running"><span class="sign" aria-hidden="true">…</span><span>{findings.some(({ check }) => check === 'delivery') ? 'Waiting for a sign of life on a quiet stream; that may take half a minute.' : 'Looking…'}</span></li>}
        </ul>
      )}
    </section>
  );
}

/** A random topic; if the person may not read it, a topic that the person's patterns match. */
function firstTopic({ topics }: Index['you']): { readonly topic: string; readonly isOwn: boolean } {
  const own = doctorTopic();
  if (topics === undefined || topics.some((pattern) => matches(pattern, own))) return { topic: own, isOwn: true };
  return { topic: (topics[0] ?? own).replaceAll(/[*>]/g, own.replace('.', '-')), isOwn: false };
}
