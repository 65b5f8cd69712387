import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

export interface Loaded<Value> {
  /** The newest that came, also while a later request fails. */
  readonly value: Value | undefined;
  readonly error: unknown;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

/**
 * Loads something, and again from time to time while the page is seen.
 * @param key What is loaded: with another one, what came before is forgotten.
 * @param everyMs 0: once.
 */
export function useLoad<Value>(load: (signal: AbortSignal) => Promise<Value>, key: string, everyMs = 0): Loaded<Value> {
  const [state, setState] = useState<{ readonly key: string; readonly value?: Value; readonly error?: unknown; readonly isLoading: boolean }>({ key, isLoading: true });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = async (): Promise<void> => {
      try {
        const value = await latest.current(abort.signal);
        if (!abort.signal.aborted) setState({ key, value, isLoading: false });
      } catch (error) {
        if (!abort.signal.aborted) setState((before) => ({ ...(before.key === key ? before : { key }), error, isLoading: false }));
      }
      if (everyMs > 0 && !abort.signal.aborted) timer = setTimeout(next, everyMs);
    };
    const next = (): void => {
      if (document.visibilityState === 'visible') void run();
      else timer = setTimeout(next, everyMs);
    };
    void run();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, everyMs, turn]);

  const reload = useCallback(() => setTurn((before) => before + 1), []);
  return state.key === key ? { value: state.value, error: state.error, isLoading: state.isLoading, reload } : { value: undefined, error: undefined, isLoading: true, reload };
}
