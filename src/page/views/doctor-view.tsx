import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { BASE, type Api, type Index } from '../api.ts';
import { CopyButton } from '../parts.tsx';
import { visible } from '../text.ts';
import { diagnose, type Finding, type Level } from './doctor-checks.ts';

const SIGNS: Readonly<Record<Level, string>> = { good: '✓', warn: '!', bad: '✗', unseen: '–' };
const WORDS: Readonly<Record<Level, string>> = { good: 'good', warn: 'to look at', bad: 'wrong', unseen: 'not seen' };

/** What lies between this browser and the service. */
export function DoctorView({ api, you }: { readonly api: Api; readonly you: Index['you'] }): JSX.Element {
  const [findings, setFindings] = useState<readonly Finding[]>([]);
  const [isRunning, setRunning] = useState(true);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    setFindings([]);
    setRunning(true);
    void diagnose({ api, mayPublish: you.publish, signal: abort.signal, tell: (finding) => setFindings((before) => [...before, finding]) }).finally(() => {
      if (!abort.signal.aborted) setRunning(false);
    });
    return () => abort.abort();
  }, [api, turn]);

  const report = (): string => [`Tidings at ${BASE}, seen by ${navigator.userAgent}, ${new Date().toISOString()}`, ...findings.map(({ check, level, text }) => `${SIGNS[level]} ${check}: ${text}`)].join('\n');
  return (
    <section class="panel narrow" aria-labelledby="doctor-title">
      <header class="panel-head"><h1 id="doctor-title">Connection doctor</h1></header>
      <p>What lies between this browser and the service{you.publish && ', with one message to a topic of its own'}.</p>
      <ul class="findings" aria-live="polite">
        {findings.map(({ check, level, text }) => <li key={check} class={level}><span class="sign" aria-hidden="true">{SIGNS[level]}</span><strong>{check}</strong> <span class="unseen">{WORDS[level]}: </span><span>{visible(text)}</span></li>)}
        {isRunning && <li class="running"><span class="sign" aria-hidden="true">…</span><span>{findings.some(({ check }) => check === 'delivery') ? 'Waiting for a sign of life on a quiet stream; that may take half a minute.' : 'Looking…'}</span></li>}
      </ul>
      <div class="actions">
        <CopyButton text={report} label="Copy as text" />
        <button type="button" disabled={isRunning} onClick={() => setTurn(turn + 1)}>Look again</button>
      </div>
    </section>
  );
}
