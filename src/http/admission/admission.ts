import type { Identity } from '../../access/credentials/identity.ts';
import type { Origins } from '../../config/origins.ts';
import { Problem } from '../../model/problem.ts';
import type { Member } from '../../presence/member.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { entitled, identified, NOBODY } from './access-rules.ts';
import { bodyLength, contentHeaders, expectation, lengthMissing } from './body-rules.ts';
import { clientAddress } from './client-address.ts';
import type { Endpoint } from './endpoints.ts';
import { fragment, hostMissing, mistakenParameter, queryEncoding, repeatedHeader, repeatedParameter, urlLength } from './head-rules.ts';
import { holderOf } from './holder.ts';
import { KeptOut } from './kept-out.ts';
import { withinLimits } from './limited-sender.ts';
import { commonHeaders, isForeignPage, isPreflight, originsAllowedAt } from './origin.ts';
import type { Peer, RequestHead } from './request-head.ts';
import type { Premises, Rule, Sender } from './rule.ts';
import { accepted, drain, handshake, membership, presenceWithoutControl } from './stream-rules.ts';
import { foreignPage, otherListener, pathOrMethod, unknownHost } from './target-rules.ts';

/**
 * Admission decides, from a request's head alone, whether to serve it. A `RequestHead` and its connection (`Peer`) come in; an `Admission` goes out. Both edges call `admit` once
 * for each request, before its body. Every rule is in `RULES`: a rule in only one edge would be a hole in the other.
 *
 * Read rule.ts and request-head.ts first: they are a rule's inputs. Then `RULES` below, and the rules themselves: head-rules.ts, target-rules.ts, access-rules.ts, stream-rules.ts,
 * body-rules.ts, limited-sender.ts. endpoints.ts is the table of all endpoints. The other files are tools of rules.
 */

/** The decision about a request. */
export type Outcome =
  /** Its route serves it. */
  | { readonly kind: 'served' }
  /** A CORS preflight. Answer it with 204 and `headers`. */
  | { readonly kind: 'preflight' }
  /** A stream that cannot begin now. Answer it with `$busy`: an error would end a browser's EventSource for good. */
  | { readonly kind: 'busy' }
  | { readonly kind: 'refused'; readonly error: Error };

/** The decision about a request, and facts about its sender. */
export interface Admission {
  readonly outcome: Outcome;
  readonly identity: Identity;
  /** The headers of every answer to the request. */
  readonly headers: Readonly<Record<string, string>>;
  /** The member that presence lists for this stream; undefined if it lists none. */
  readonly member: Member | undefined;
  /** The client's address, for limits and log lines. */
  readonly clientAddress: () => string;
  /** The holder that the request's memory counts against. */
  readonly holder: () => Holder;
}

const SERVED: Outcome = { kind: 'served' };
const PREFLIGHT: Outcome = { kind: 'preflight' };
const BUSY: Outcome = { kind: 'busy' };

/**
 * All rules, in the order in which `admit` calls them. It stops at the first objection. Two rules also write to the sender: `identified` its identity, `membership` its member.
 * So every rule below `identified` may read the identity.
 */
export const RULES: readonly Rule[] = [
  urlLength,
  fragment,
  hostMissing,
  // Before every rule that uses the value of a header: two parsers could take different values of a repeated one.
  repeatedHeader,
  unknownHost,
  otherListener,
  // Every later rule has an endpoint, except for a preflight.
  pathOrMethod,
  // Before `identified`: a foreign page must not make its visitor's browser look a credential up, or fail a login.
  foreignPage,
  handshake,
  identified,
  // Before the rules about details: a sender without the right to make this request learns only that.
  entitled,
  queryEncoding,
  repeatedParameter,
  mistakenParameter,
  membership,
  presenceWithoutControl,
  expectation,
  drain,
  lengthMissing,
  contentHeaders,
  accepted,
  bodyLength,
  // Last, because it charges the sender: a request that another rule refuses costs nothing.
  withinLimits,
];

export class AdmissionPolicy {
  readonly #counters: Pick<Counters, 'turnAway'>;
  readonly #premises: Premises;
  readonly #rules: readonly Rule[];
  readonly #keptOut: KeptOut;

  constructor(premises: Premises & { readonly logger: Pick<Logger, 'info'>; readonly counters: Pick<Counters, 'turnAway'> }, rules: readonly Rule[] = RULES) {
    this.#premises = premises;
    this.#counters = premises.counters;
    this.#keptOut = new KeptOut(premises.logger);
    this.#rules = rules;
  }

  /** Decides whether to serve a request. It neither throws nor rejects: an error of a rule is a refusal. */
  admit(request: RequestHead, peer: Peer): Admission | Promise<Admission> {
    return this.#applyRules(request, { identity: undefined, address: () => clientAddress(request.headers, peer, this.#premises.config.TRUST_PROXY), peer }, 0);
  }

  /** Decides about a request that came in a frame of an open WebSocket. The handshake has identified its sender. */
  admitFrame(request: RequestHead, sender: Sender & { readonly identity: Identity }): Admission | Promise<Admission> {
    return this.#applyRules(request, sender, 0);
  }

  /** Applies the rules from an index on. After a rule that had to wait, it continues with the next one. */
  #applyRules(request: RequestHead, sender: Sender, from: number): Admission | Promise<Admission> {
    try {
      for (let index = from; index < this.#rules.length; index++) {
        const objection = this.#rules[index]!(request, this.#premises, sender);
        if (objection instanceof Promise) {
          return objection.then(
            (awaited) => awaited === undefined ? this.#applyRules(request, sender, index + 1) : this.#decide(request, sender, awaited),
            (error: unknown) => this.#decide(request, sender, asError(error)),
          );
        }
        if (objection !== undefined) return this.#decide(request, sender, objection);
      }
    } catch (error) {
      return this.#decide(request, sender, asError(error));
    }
    return this.#decide(request, sender, undefined);
  }

  #decide(request: RequestHead, sender: Sender, objection: Error | undefined): Admission {
    const { identity = NOBODY, member, address, peer } = sender;
    const origins = originsAllowedAt(request.listener, this.#premises.config);
    this.#report(request, sender, objection, origins);
    const outcome = outcomeOf(request, objection, origins);
    return { outcome, identity, member, headers: commonHeaders(request.headers, origins, outcome.kind === 'preflight'), clientAddress: address, holder: () => holderOf(identity, address, peer) };
  }

  /** Counts a refusal, and logs the kinds that an operator may have to act on. */
  #report(request: RequestHead, { identity = NOBODY, address }: Sender, objection: Error | undefined, origins: Origins): void {
    const code = objection instanceof Problem ? objection.code : undefined;
    if (objection !== undefined) this.#counters.turnAway(code ?? 'internal');
    if (code === 'unknown-host') this.#keptOut.host(request, address);
    else if (isForAdministrators(request.endpoint) && (code === 'forbidden' || code === 'unauthorized')) this.#keptOut.administration(request, identity.name, address);
    else if (code === 'invalid-credential') this.#keptOut.credential(reasonOf(objection!), request, address);
    // A foreign page may make requests that change nothing, but its browser does not let it read the answers. So it is kept out, although its request is served.
    else if (code === 'cross-origin' || (request.headers.origin !== undefined && isForeignPage(request.headers, origins))) this.#keptOut.page(request, address);
  }
}

function outcomeOf(request: RequestHead, objection: Error | undefined, origins: Origins): Outcome {
  if (objection === undefined) return isPreflight(request, origins) ? PREFLIGHT : SERVED;
  if (objection instanceof Problem && objection.status === 503 && request.endpoint?.isStream === true) return BUSY;
  return { kind: 'refused', error: objection };
}

function isForAdministrators(endpoint: Endpoint | undefined): boolean {
  return endpoint?.access === 'administration' || endpoint?.access === 'fleet';
}

/** The reason with its cause, for the log. The client gets only the reason. */
function reasonOf({ message, cause }: Error): string {
  return cause instanceof Error ? `${message} (${cause.message})` : message;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
