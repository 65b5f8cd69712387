/**
 * A side call is a call of a store about anything but messages. Each has a name, one argument and one answer, which cross between the threads. The
 * interfaces `…Calls` list them, and both threads use these types:
 *
 *     SqliteKeyStore (main thread)  ── PerformCall<KeyCalls> ──►  ApiKeys (worker), a CallTable<KeyCalls>
 */

/** Names of calls, with the types of their arguments and answers. */
export type CallTypes<Calls> = { readonly [Name in keyof Calls]: { readonly argument: unknown; readonly answer: unknown } };

/** The worker's end: a method for each call, which runs inside a transaction that the worker began. */
export type CallTable<Calls extends CallTypes<Calls>> = { readonly [Name in keyof Calls]: (argument: Calls[Name]['argument']) => Calls[Name]['answer'] };

/** The main thread's end: performs one call in a transaction of its own. */
export type PerformCall<Calls extends CallTypes<Calls>> = <Name extends keyof Calls>(name: Name, argument: Calls[Name]['argument']) => Promise<Calls[Name]['answer']>;

/**
 * How a call runs, and what a caller knows if it gets no answer:
 *
 * | effect | thread | transaction | without an answer |
 * |---|---|---|---|
 * | `read` | query worker | read | `unavailable`: nothing was changed |
 * | `write` | writer | write | `unavailable`, though it may have happened: the next call of its kind repairs it |
 * | `commit` | writer | write; the file is read anew before the answer | `outcome-unknown` if it has begun (invariant 1) |
 */
export type Effect = 'read' | 'write' | 'commit';

export type CallEffects<Calls> = { readonly [Name in keyof Calls]: Effect };
