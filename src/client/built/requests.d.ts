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
/** By its name: the class is the library's, and a module that is loaded later has a copy of it at most. */
export declare function isRefusal(error: unknown): error is TidingsError;
export interface RequestParts {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly signal: AbortSignal;
}
/** Requests with the application's token. */
export interface Requests {
    readonly url: string;
    /** The next request asks for a new token. */
    forget(): void;
    /**
     * Resolves with an answer of status 2xx. After a 401 the request is made once more, with a new token.
     * Rejects with a `TidingsError` where it is no use to try again. Any other error may pass: no answer, no token, or a `Passing` (problem.ts).
     */
    send(path: string, parts: RequestParts): Promise<Response>;
}
