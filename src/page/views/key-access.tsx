import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { query, type Api, type Verdict } from '../api.ts';
import { ErrorNote, Field, Raw } from '../parts.tsx';
import { visible } from '../text.ts';
import type { Key } from './key-secret.tsx';

/** As the API names them, and whether they have a topic. */
const ACTIONS: readonly (readonly [action: string, label: string, hasTopic: boolean])[] = [
  ['publish', 'publish to', true], ['read', 'read', true], ['erase', 'erase messages of', true], ['presence', 'see who listens on', true],
  ['operate', 'operate', false], ['streams', 'list and close streams', false], ['administer', 'administer', false],
];

interface Answer extends Verdict {
  readonly question: string;
}

/** May a key do something? Nothing is tried, and it is no use of the key. */
export function KeyAccess({ api, keys }: { readonly api: Api; readonly keys: readonly Key[] }): JSX.Element {
  const [id, setId] = useState('');
  const [action, setAction] = useState('read');
  const [topic, setTopic] = useState('');
  const [answer, setAnswer] = useState<Answer>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const [, label = action, hasTopic = false] = ACTIONS.find(([name]) => name === action) ?? [];

  const ask = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    setAnswer(undefined);
    const wish = query({ action, topic: hasTopic ? topic : undefined });
    const who = id === '' ? 'You' : keys.find((key) => key.id === id)?.name ?? id;
    try {
      const verdict = await api.json<Verdict>(`${id === '' ? 'access' : `keys/${encodeURIComponent(id)}/access`}${wish}`);
      setAnswer({ ...verdict, question: `${who} ${verdict.allowed ? 'may' : 'may not'} ${label}${hasTopic ? ` ${topic}` : ''}.` });
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };

  return (
    <section class="panel" aria-labelledby="key-access-title">
      <header class="panel-head"><h1 id="key-access-title">Who may do what?</h1></header>
      <form onSubmit={(event) => {
        event.preventDefault();
        void ask();
      }}>
        <div class="question">
          <Field label="May">{(attributes) => (
            <select {...attributes} value={id} onChange={(event) => setId(event.currentTarget.value)}>
              <option value="">the key that you use</option>
              {keys.map((key) => <option key={key.id} value={key.id}>{visible(key.name)} ({key.id})</option>)}
            </select>
          )}</Field>
          <Field label="do this">{(attributes) => <select {...attributes} value={action} onChange={(event) => setAction(event.currentTarget.value)}>{ACTIONS.map(([name, text]) => <option key={name} value={name}>{text}</option>)}</select>}</Field>
          {hasTopic && <Field label="Topic or pattern">{(attributes) => <input {...attributes} required value={topic} placeholder="deploys.api" spellcheck={false} autocapitalize="off" autocomplete="off" onInput={(event) => setTopic(event.currentTarget.value)} />}</Field>}
          <button type="submit" disabled={isBusy}>Ask</button>
        </div>
      </form>
      {error !== undefined && <ErrorNote error={error} />}
      {answer !== undefined && <p class={`note ${answer.allowed ? 'good' : 'warn'}`} role="status"><span><Raw text={answer.question} />{answer.detail !== undefined && <span class="sub"><Raw text={answer.detail} /></span>}</span></p>}
    </section>
  );
}
