import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Api, ApiError, type Index } from '../api.ts';
import { ErrorNote, Field } from '../parts.tsx';

/** The form for a key or token. Only the memory of this page keeps it. If the service has sessions, the person may exchange it for an `HttpOnly` cookie. */
export function SignIn({ why, sessions = false, hasSession = false, onToken, onSession }: { readonly why?: unknown; readonly sessions?: boolean; readonly hasSession?: boolean; readonly onToken: (token: string) => void; readonly onSession: () => void }): JSX.Element {
  const [text, setText] = useState('');
  const [isKept, setKept] = useState(false);
  const [error, setError] = useState(why);
  const [isBusy, setBusy] = useState(false);

  const signIn = async (): Promise<void> => {
    setBusy(true);
    try {
      const api = new Api(text.trim());
      await api.json<Index>('.');
      if (isKept) await api.send('session', { method: 'POST' });
      if (location.hash.startsWith('#/sign-in')) location.hash = '#/feed';
      onToken(text.trim());
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };

  return (
    <section class="panel narrow" aria-labelledby="sign-in-title">
      <h1 id="sign-in-title">Sign in</h1>
      {hasSession
        ? <p>You have a session, which reads and publishes. Administering and operating take your key again: no cookie may do that, and a reload forgets the key.</p>
        : <p>This service takes an API key or a token. The page keeps it in its memory alone: a reload forgets it.</p>}
      {error !== undefined && <ErrorNote error={error} />}
      <form onSubmit={(event) => {
        event.preventDefault();
        void signIn();
      }}>
        <Field label="Key or token" hint={<>An administrator makes one with <code>npx tidings keys create</code>.</>}>
          {(attributes) => <input {...attributes} type="password" required autocomplete="off" value={text} onInput={(event) => setText(event.currentTarget.value)} />}
        </Field>
        {sessions && !hasSession && <label class="check"><input type="checkbox" checked={isKept} onChange={(event) => setKept(event.currentTarget.checked)} /> Stay signed in here, for reading and publishing, with a session cookie</label>}
        <div class="actions">
          {why instanceof ApiError && <button type="button" onClick={() => void signOut(new Api()).then(onSession, setError)}>Forget the session</button>}
          <button type="submit" class="main" disabled={isBusy}>Sign in</button>
        </div>
      </form>
    </section>
  );
}

/** Ends the session, if there is one. */
export async function signOut(api: Api): Promise<void> {
  try {
    await api.send('session', { method: 'DELETE' });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}
