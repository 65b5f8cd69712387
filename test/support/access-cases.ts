import { ENDPOINTS, isForOperators, type Endpoint } from '../../src/http/admission/endpoints.ts';

/** The access matrix: what each endpoint is asked, and what each kind of credential gets. A new endpoint without a row is an error of types. */

/** What stands in a URL. A request that opens no stream does not look at it. */
export const TICKETS = ['ticket', 'other-ticket', 'revoked-ticket'] as const;
export type TicketKind = (typeof TICKETS)[number];

/** `narrow` has other topics; `right` those that are asked for; `operator` may read metrics alone; `administrator` administers, may erase everything, and has no topics. Sessions are cookies of pages of this host, with the topics of `right`. Tickets stand in the URL: one for all of the matrix, one for another topic, and one whose key was revoked. */
export const CREDENTIALS = ['none', 'malformed', 'unknown', 'wrong-secret', 'expired', 'revoked', 'bad-token', 'expired-token', 'revoked-token', 'narrow', 'narrow-token', 'right', 'right-token', 'operator', 'operator-token', 'administrator', 'administrator-token', 'session', 'ended-session', 'revoked-session', ...TICKETS] as const;
export type CredentialKind = (typeof CREDENTIALS)[number];

export interface Expected {
  readonly none: number;
  readonly narrow: number;
  readonly right: number;
  readonly administrator: number;
  /** As `narrow` if absent. */
  readonly operator?: number;
  /** Credentials that are not good; 401 if absent. */
  readonly bad?: number;
  /** A ticket for what is asked, for other topics, and of a revoked key: where they open nothing, as for none. */
  readonly ticket?: readonly [right: number, other: number, revoked: number];
  /** A session that is good, and one that was ended, or whose token was revoked; where cookies are not looked at, as for none. */
  readonly session?: readonly [good: number, ended: number];
}

export interface MatrixRow {
  readonly path: string;
  readonly body?: string;
  readonly type?: string;
  readonly expected: Expected;
}

/** What a row's path is made of: a message that is there, a key, and the instance. */
export interface Facts {
  readonly message: string;
  readonly key: string;
  readonly instance: string;
}

const MESSAGES = { none: 401, narrow: 403, administrator: 403 } as const;
/** Of who reads. */
const READING = { ...MESSAGES, right: 200, session: [200, 401] } as const;
const STREAMING = { ...READING, ticket: [200, 403, 401] } as const;
const PUBLISHING = { ...MESSAGES, right: 201, session: [201, 401] } as const;
const OPERATIONS = { none: 401, narrow: 403, right: 403, operator: 200, administrator: 200 } as const;
const ADMINISTRATION = { ...OPERATIONS, operator: 403 } as const;

export function matrix({ message, key, instance }: Facts): Readonly<Record<keyof typeof ENDPOINTS, MatrixRow>> {
  return {
    publish: { path: '/topics/matrix.a', body: 'x', expected: PUBLISHING },
    publishBatch: { path: '/messages', body: '[{"topic":"matrix.a","data":1}]', type: 'application/json', expected: PUBLISHING },
    // No credential of ours opens a hook: its sender signs what it sends. That of these paths is not there.
    hook: { path: '/hooks/nothing', body: '{}', type: 'application/json', expected: { none: 404, narrow: 404, right: 404, administrator: 404, bad: 404 } },
    secretHook: { path: '/hooks/nothing/secret', body: '{}', type: 'application/json', expected: { none: 404, narrow: 404, right: 404, administrator: 404, bad: 404 } },
    streamTopic: { path: '/topics/matrix.%3E/events', expected: STREAMING },
    streamTopics: { path: '/events?topic=matrix.a&topic=matrix.b.*', expected: STREAMING },
    createTicket: { path: '/tickets', body: '{"topics":["matrix.a","matrix.b.*"]}', type: 'application/json', expected: { ...MESSAGES, right: 201, session: [201, 401] } },
    // The stream of the path is not there.
    renewStream: { path: '/streams/x/credential', body: `{"secret":"${'x'.repeat(22)}"}`, expected: { none: 401, narrow: 404, right: 404, administrator: 404, session: [404, 401] } },
    changeStream: { path: '/streams/aaaaaaaaaa-1', body: `{"secret":"${'x'.repeat(22)}","add":["matrix.a"]}`, expected: { none: 401, narrow: 404, right: 404, administrator: 404, session: [404, 401] } },
    listStreams: { path: '/streams?limit=1', expected: ADMINISTRATION },
    // The stream and the instance of these paths are not there.
    closeStream: { path: '/streams/aaaaaaaaaa-1', expected: { ...ADMINISTRATION, administrator: 404 } },
    instances: { path: '/instances', expected: OPERATIONS },
    instance: { path: `/instances/${instance}?after=0`, expected: OPERATIONS },
    rebalance: { path: '/instances/rebalance', expected: { ...ADMINISTRATION, administrator: 202 } },
    drainInstance: { path: '/instances/aaaaaaaaaa/drain', expected: { ...ADMINISTRATION, administrator: 404 } },
    topicHistory: { path: '/topics/matrix.*/messages', expected: READING },
    history: { path: '/messages?topic=matrix.a', expected: READING },
    cursor: { path: '/cursor?topic=matrix.a', expected: READING },
    // Whether there is a message is told only to those who may read it.
    message: { path: `/messages/${message}`, expected: { none: 401, narrow: 404, right: 200, administrator: 404, session: [200, 401] } },
    listTopics: { path: '/topics?prefix=matrix.', expected: { ...READING, administrator: 200 } },
    topicPresence: { path: '/topics/matrix.a/presence', expected: { ...READING, administrator: 200 } },
    presence: { path: '/presence?topic=matrix.a&topic=matrix.b.*', expected: { ...READING, administrator: 200 } },
    // Of a member's topics only those are told that may be seen.
    member: { path: '/members/right', expected: { ...READING, administrator: 200 } },
    messageDelivery: { path: `/messages/${message}/delivery`, expected: ADMINISTRATION },
    eraseMessage: { path: `/messages/${message}`, expected: { none: 401, narrow: 403, right: 204, administrator: 204 } },
    eraseTopic: { path: '/topics/matrix.a/messages?before=0s', expected: { none: 401, narrow: 403, right: 200, administrator: 200 } },
    index: { path: '/', expected: { none: 200, narrow: 200, right: 200, administrator: 200, session: [200, 401] } },
    pageFile: { path: '/page/page.css', expected: { none: 200, narrow: 200, right: 200, administrator: 200, bad: 200 } },
    client: { path: '/client.js', expected: { none: 200, narrow: 200, right: 200, administrator: 200, bad: 200 } },
    clientModule: { path: '/client/sharing.js', expected: { none: 200, narrow: 200, right: 200, administrator: 200, bad: 200 } },
    healthz: { path: '/healthz', expected: { none: 200, narrow: 200, right: 200, administrator: 200, bad: 200 } },
    readyz: { path: '/readyz', expected: { none: 200, narrow: 200, right: 200, administrator: 200, bad: 200 } },
    metrics: { path: '/metrics', expected: OPERATIONS },
    openapi: { path: '/openapi.json', expected: OPERATIONS },
    listKeys: { path: '/keys', expected: ADMINISTRATION },
    createKey: { path: '/keys', body: '{"name":"made by the matrix","publish":["a"]}', expected: { ...ADMINISTRATION, administrator: 201 } },
    key: { path: `/keys/${key}`, expected: ADMINISTRATION },
    rotateKey: { path: `/keys/${key}/rotate`, body: '{}', expected: { ...ADMINISTRATION, administrator: 201 } },
    revokeKey: { path: `/keys/${key}`, expected: ADMINISTRATION },
    listRevocations: { path: '/revocations', expected: ADMINISTRATION },
    revoke: { path: '/revocations', body: '{"jti":"of the matrix"}', expected: { ...ADMINISTRATION, administrator: 201 } },
    listConnectors: { path: '/connectors', expected: ADMINISTRATION },
    listWebhooks: { path: '/webhooks?limit=1', expected: ADMINISTRATION },
    createWebhook: { path: '/webhooks', body: '{"url":"https://example.com/","topics":["other.webhook"]}', expected: { ...ADMINISTRATION, administrator: 201 } },
    // The webhook of these paths is not there.
    webhook: { path: '/webhooks/aaaaaaaaaaaaaaaa', expected: { ...ADMINISTRATION, administrator: 404 } },
    changeWebhook: { path: '/webhooks/aaaaaaaaaaaaaaaa', body: '{"topics":["a"]}', expected: { ...ADMINISTRATION, administrator: 404 } },
    deleteWebhook: { path: '/webhooks/aaaaaaaaaaaaaaaa', expected: { ...ADMINISTRATION, administrator: 404 } },
    pauseWebhook: { path: '/webhooks/aaaaaaaaaaaaaaaa/pause', expected: { ...ADMINISTRATION, administrator: 404 } },
    resumeWebhook: { path: '/webhooks/aaaaaaaaaaaaaaaa/resume', expected: { ...ADMINISTRATION, administrator: 404 } },
    replayWebhook: { path: '/webhooks/aaaaaaaaaaaaaaaa/replay', body: '{"from":"start"}', expected: { ...ADMINISTRATION, administrator: 404 } },
    rotateWebhook: { path: '/webhooks/aaaaaaaaaaaaaaaa/rotate', body: '{}', expected: { ...ADMINISTRATION, administrator: 404 } },
    testWebhook: { path: '/webhooks/aaaaaaaaaaaaaaaa/test', expected: { ...ADMINISTRATION, administrator: 404 } },
    webhookAttempts: { path: '/webhooks/aaaaaaaaaaaaaaaa/attempts', expected: { ...ADMINISTRATION, administrator: 404 } },
    access: { path: '/access', expected: { none: 401, narrow: 200, right: 200, administrator: 200, session: [200, 401] } },
    keyAccess: { path: `/keys/${key}/access?action=read&topic=a`, expected: ADMINISTRATION },
    createSession: { path: '/session', expected: { none: 401, narrow: 201, right: 201, administrator: 201 } },
    session: { path: '/session', expected: { none: 401, narrow: 200, right: 200, administrator: 200, session: [200, 401] } },
    // Whoever has none has none any more.
    endSession: { path: '/session', expected: { none: 204, narrow: 204, right: 204, administrator: 204, bad: 204 } },
  };
}

export function expectedOf(kind: CredentialKind, { none, narrow, right, administrator, operator = narrow, bad = 401, session: [session, ended] = [none, none], ticket: [ticket, otherTicket, revokedTicket] = [none, none, none] }: Expected): number {
  const good: Readonly<Partial<Record<CredentialKind, number>>> = { none, narrow, 'narrow-token': narrow, right, 'right-token': right, operator, 'operator-token': operator, administrator, 'administrator-token': administrator, session, 'ended-session': ended, 'revoked-session': ended, ticket, 'other-ticket': otherTicket, 'revoked-ticket': revokedTicket };
  return good[kind] ?? bad;
}

/** The endpoints that a path may be of, itself among them: `/instances/rebalance` may be an instance, too. */
export function endpointsAt({ url }: Endpoint): readonly Endpoint[] {
  return Object.values<Endpoint>(ENDPOINTS).filter((other) => new RegExp(`^${other.url.replaceAll(/:\w+/g, '[^/]+')}$`).test(url));
}

/** What the listener for operations answers to everybody. */
export function operationsStatus(endpoint: Endpoint, method: string): 200 | 404 | 405 {
  const has = ({ methods }: Endpoint): boolean => methods.some((one) => one === method);
  if (isForOperators(endpoint)) return has(endpoint) ? 200 : 405;
  const all = endpointsAt(endpoint);
  return all.some(isForOperators) && !all.some(has) ? 405 : 404;
}
