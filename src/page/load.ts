import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, mayPass } from './api.ts';

/** How soon something that is loaded once is asked for again while the service does not answer. Stops a page from asking without a pause. */
const LOAD_RETRY_MS = 3_000;
/** After this time without an answer the page says so. Stops old figures from looking new while the service stands still. */
const LATE_MS = 5_000;

export interface Loaded<Value> {
  /** The newest that came, also while a later request fails. */
  readonly value: Value | undefined;
  /** When it came, in milliseconds since 1970. */
  readonly at: number | undefined;
  readonly error: unknown;
  readonly isLoading: boolean;
  /** The service has been asked, and takes long to answer. */
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
 * Loads something, and again from time to time while the page is seen. Where the service cannot be reached or cannot answer, it is asked again until it does.
 * @param key Names the loaded thing: another key forgets the earlier one.
 * @param everyMs 0: once.
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
