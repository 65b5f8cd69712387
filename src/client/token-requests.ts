import type { ConnectOptions } from './api.ts';
import { more } from './later.ts';
import { TidingsError, type RequestParts, type Requests } from './requests.ts';

/** Makes the `Requests` of a connection. All requests share one token, until `forget` or a 401. */
export function createRequests(url: string, options: ConnectOptions): Requests {
  const base = url.replace(/\/+$/, '');
  let token: Promise<string | null> | undefined;

  const send = async (path: string, parts: RequestParts, isSecond?: true): Promise<Response> => {
    const used = token ??= Promise.resolve().then(() => options.getToken?.() ?? null);
    /** Another request may have got a newer token meanwhile: keep that one. */
    const forget = (): void => {
      if (token === used) token = undefined;
    };
    const text = await used.catch((error: unknown) => {
      // `getToken` has failed: the next request calls it again.
      forget();
      throw error;
    });
    const answer = await (options.fetch ?? fetch)(base + path, {
      cache: 'no-store', credentials: options.credentials, ...parts,
      headers: { ...parts.headers, ...(text !== null && { authorization: `Bearer ${text}` }) },
    });
    if (answer.ok) return answer;
    const { settle } = await more();
    return settle(answer, TidingsError, isSecond || options.getToken === undefined ? undefined : () => {
      forget();
      return send(path, parts, true);
    });
  };

  return {
    url: base,
    forget() {
      token = undefined;
    },
    send: (path, parts) => send(path, parts),
  };
}
