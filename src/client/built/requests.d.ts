import type { ConnectOptions } from './api.js';
/** The service refused a request: its problem (RFC 9457), by whose `code` a program goes. */
export declare class TidingsError extends Error {
    readonly name = "TidingsError";
    readonly code: string;
    /** 0 where there was no answer. */
    readonly status: number;
    /** The part of the request that was wrong. */
    readonly field: string | undefined;
    constructor(message: string, { code, status, field }: {
        code: string;
        status?: number;
        field?: string | undefined;
    });
}
/** An attempt that failed, and may be made again. */
export declare class Passing extends Error {
    /** How long the server asks to wait; 0 where it does not say. Milliseconds. */
    readonly retryAfter: number;
    constructor(cause: unknown, retryAfter?: number);
}
export interface RequestParts {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly signal: AbortSignal;
}
/** Requests with the application's token. */
export declare class Requests {
    #private;
    readonly url: string;
    constructor(url: string, options: ConnectOptions);
    /** The next request asks for a new token. */
    forgetToken(): void;
    /**
     * Resolves with an answer of status 2xx. After a 401 the request is made once more, with a new token.
     * Rejects with a `Passing` where it may be tried again, and with a `TidingsError` where that is no use.
     */
    send(path: string, parts: RequestParts): Promise<Response>;
}
