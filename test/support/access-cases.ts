import type { ENDPOINTS } from '../../src/http/endpoints.ts';

/** The access matrix: what each endpoint is asked, and what each kind of credential gets. A new endpoint without a row is an error of types. */

/** `narrow` has other topics; `right` those that are asked for; `administrator` administers, may erase everything, and has no topics. */
export const CREDENTIALS = ['none', 'malformed', 'unknown', 'wrong-secret', 'expired', 'revoked', 'bad-token', 'expired-token', 'narrow', 'narrow-token', 'right', 'right-token', 'administrator', 'administrator-token'] as const;
export type CredentialKind = (typeof CREDENTIALS)[number];

export interface Expected {
  readonly none: number;
  readonly narrow: number;
  readonly right: number;
  readonly administrator: number;
  /** Credentials that are not good; 401 if absent. */
  readonly bad?: number;
}

export interface MatrixRow {
  readonly path: string;
  readonly body?: string;
  readonly type?: string;
  readonly expected: Expected;
}

/** What a row's path is made of: a message that is there, and a key. */
export interface Facts {
  readonly message: string;
  readonly key: string;
}

const MESSAGES = { none: 401, narrow: 403, administrator: 403 } as const;
const OPERATIONS = { none: 401, narrow: 403, right: 403, administrator: 200 } as const;

export function matrix({ message, key }: Facts): Readonly<Record<keyof typeof ENDPOINTS, MatrixRow>> {
  return {
    publish: { path: '/topics/matrix.a', body: 'x', expected: { ...MESSAGES, right: 201 } },
    publishBatch: { path: '/messages', body: '[{"topic":"matrix.a","data":1}]', type: 'application/json', expected: { ...MESSAGES, right: 201 } },
    streamTopic: { path: '/topics/matrix.%3E/events', expected: { ...MESSAGES, right: 200 } },
    streamTopics: { path: '/events?topic=matrix.a&topic=matrix.b.*', expected: { ...MESSAGES, right: 200 } },
    topicHistory: { path: '/topics/matrix.*/messages', expected: { ...MESSAGES, right: 200 } },
    history: { path: '/messages?topic=matrix.a', expected: { ...MESSAGES, right: 200 } },
    // Whether there is a message is told only to those who may read it.
    message: { path: `/messages/${message}`, expected: { none: 401, narrow: 404, right: 200, administrator: 404 } },
    eraseMessage: { path: `/messages/${message}`, expected: { none: 401, narrow: 403, right: 204, administrator: 204 } },
    eraseTopic: { path: '/topics/matrix.a/messages?before=0s', expected: { none: 401, narrow: 403, right: 200, administrator: 200 } },
    healthz: { path: '/healthz', expected: { none: 200, narrow: 200, right: 200, administrator: 200, bad: 200 } },
    readyz: { path: '/readyz', expected: { none: 200, narrow: 200, right: 200, administrator: 200, bad: 200 } },
    metrics: { path: '/metrics', expected: OPERATIONS },
    openapi: { path: '/openapi.json', expected: OPERATIONS },
    listKeys: { path: '/keys', expected: OPERATIONS },
    createKey: { path: '/keys', body: '{"name":"made by the matrix","publish":["a"]}', expected: { ...OPERATIONS, administrator: 201 } },
    key: { path: `/keys/${key}`, expected: OPERATIONS },
    rotateKey: { path: `/keys/${key}/rotate`, body: '{}', expected: { ...OPERATIONS, administrator: 201 } },
    revokeKey: { path: `/keys/${key}`, expected: OPERATIONS },
  };
}

export function expectedOf(kind: CredentialKind, { none, narrow, right, administrator, bad = 401 }: Expected): number {
  const good: Readonly<Partial<Record<CredentialKind, number>>> = { none, narrow, 'narrow-token': narrow, right, 'right-token': right, administrator, 'administrator-token': administrator };
  return good[kind] ?? bad;
}
