import { basic, bearer, hmac, path, slack, standardWebhooks, stripe, token, type HmacOptions, type Verify } from './signature.ts';

/** The known senders: the signature of each, and its places for the event's name and for a key. By the key a repeated request is recognised. */

/** The options of a hook, without its secrets. */
export interface SenderOptions {
  readonly hmac: HmacOptions | undefined;
  /** For `basic`. */
  readonly user: string | undefined;
  readonly timestampHeader: string | undefined;
}

export interface KnownSender {
  readonly verify: (secrets: readonly string[], options: SenderOptions) => Verify;
  /** Templates, as a hook's own would be. */
  readonly event?: string;
  readonly key?: string;
  /** Whether the secret is the end of the path. */
  readonly isInPath?: true;
  /** Members of the hook without which it cannot be checked. */
  readonly needs?: readonly ('user' | 'hmac')[];
  /** Whether a request may only ask whether somebody is there. It is answered with its `challenge`. */
  readonly asksFirst?: true;
}

export const SENDERS = {
  github: {
    verify: (secrets) => hmac(secrets, { header: 'X-Hub-Signature-256', algorithm: 'sha256', encoding: 'hex', prefix: 'sha256=' }),
    event: '{header:X-GitHub-Event}', key: '{header:X-GitHub-Delivery}',
  },
  gitlab: { verify: (secrets) => token(secrets, 'X-Gitlab-Token'), event: '{/object_kind|header:X-Gitlab-Event}', key: '{header:Idempotency-Key|header:X-Gitlab-Event-UUID}' },
  stripe: { verify: stripe, event: '{/type}', key: '{body:/id}' },
  slack: { verify: slack, event: '{/event/type|/type}', key: '{body:/event_id}', asksFirst: true },
  'standard-webhooks': { verify: standardWebhooks, event: '{/type|=message}', key: '{header:webhook-id}' },
  grafana: { verify: (secrets, { timestampHeader }) => hmac(secrets, { header: 'X-Grafana-Alerting-Signature', algorithm: 'sha256', encoding: 'hex', prefix: '', timestampHeader }), event: '{/status}' },
  // It repeats a notification on purpose, with the same body: that is no key.
  alertmanager: { verify: bearer, event: '{/status}' },
  hmac: { verify: (secrets, options) => hmac(secrets, options.hmac!), needs: ['hmac'] },
  bearer: { verify: bearer },
  basic: { verify: (secrets, { user }) => basic(secrets, user!), needs: ['user'] },
  path: { verify: path, isInPath: true },
} as const satisfies Record<string, KnownSender>;

export type SenderName = keyof typeof SENDERS;
