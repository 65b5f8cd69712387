import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, mayPass } from './api.ts';

/** The retry interval of a thing that is loaded once. Stops a page from asking without a pause while the service is away. */
const LOAD_RETRY_MS = 3_000;
/** After this time without an answer the page shows that it waits. Stops old figures from looking new while the service is frozen. */
const LATE_MS = 5_000;

export interface Loaded<Value> {
  /** The newest answer; kept while later requests fail. */
  readonly value: Value | undefined;
  /** When the newest answer came, in milliseconds since 1970. */
  readonly at: number | undefined;
  readonly error: unknown;
  readonly isLoading: boolean;
  /** A request takes longer than usual. */
  readonly isLate: boolean;
  readonly reload: () => void;
}

interface State<Value> {
  readonly key: string;
  readonly value?: Value;
  readonly at?: number;
  readonly error?: unknown;
  readonly isLoading: boolean;
  readonly isLate: boolean;
}

/**
 * Loads a value, and polls it while the page is visible. After a network error or a 503 it retries until the service answers.
 * @param key Names the value: another key forgets the earlier value.
 * @param everyMs The interval of polling; 0 loads once.
 */
export function useLoad<Value>(load: (signal: AbortSignal) => Promise<Value>, key: string, everyMs = 0): Loaded<Value> {
  const [state, setState] = useState<State<Value>>({ key, isLoading: true, isLate: false });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let late: ReturnType<typeof setTimeout> | undefined;
    const run = async (): Promise<void> => {
      late = setTimeout(() => setState((before) => before.key === key ? { ...before, isLate: true } : before), LATE_MS);
      let waitMs = everyMs;
      try {
        const value = await latest.current(abort.signal);
        if (!abort.signal.aborted) setState({ key, value, at: Date.now(), isLoading: false, isLate: false });
      } catch (error) {
        if (waitMs === 0 && mayPass(error)) waitMs = LOAD_RETRY_MS;
        if (!abort.signal.aborted) setState((before) => ({ ...(before.key === key ? before : { key }), error, isLoading: false, isLate: false }));
      }
      clearTimeout(late);
      if (waitMs > 0 && !abort.signal.aborted) timer = setTimeout(next, waitMs);
    };
    const next = (): void => {
      if (document.visibilityState === 'visible') void run();
      else timer = setTimeout(next, Math.max(everyMs, LOAD_RETRY_MS));
    };
    void run();
    return () => {
      abort.abort();
      clearTimeout(timer);
      clearTimeout(late);
    };
  }, [key, everyMs, turn]);

  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const { value, at, error, isLoading, isLate }: State<Value> = state.key === key ? state : { key, isLoading: true, isLate: false };
  return { value, at, error, isLoading, isLate, reload };
}

const NOT_FOUND_CODE = 404;

/** Whether the service, or a proxy in front of it, does not have it here: then nothing can be changed here either. */
export function isKeptOut({ value, error }: Loaded<unknown>): boolean {
  return value === undefined && error instanceof ApiError && error.status === NOT_FOUND_CODE;
}
