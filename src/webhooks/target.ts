import { isIP } from 'node:net';
import type { WebhookAllow } from '../config/webhook-allow.ts';
import { Problem } from '../model/problem.ts';
import { mayConnect } from './addresses.ts';

/** The longest URL. Stops a page of webhooks from filling the memory. */
const TARGET_MAX_CHARACTERS = 2_048;

/**
 * Checks the URL of a webhook. It does not resolve a host name: `sender.ts` does that, and checks the address of each connection. An IP address as the host is checked here too, in any notation.
 *
 * @throws Problem that names the member `url`, and never quotes the URL, which may contain a secret.
 */
export function readTarget(text: unknown, allow: WebhookAllow): string {
  if (typeof text !== 'string' || text === '') throw invalid('it must be a text such as https://example.com/hook');
  if (text.length > TARGET_MAX_CHARACTERS) throw invalid(`it is longer than ${TARGET_MAX_CHARACTERS} characters`);
  const url = URL.parse(text);
  if (url === null) throw invalid('it is no URL; it must be one such as https://example.com/hook');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw invalid('it must begin with https:// or http://');
  if (url.username !== '' || url.password !== '') throw invalid('it must not have a user or password; put a token into its path, or check the signature');
  if (url.hash !== '') throw invalid('it must not have a fragment');
  const host = hostOf(url);
  if (url.port === '0') throw invalid('its port cannot be connected to');
  if (isIP(host) !== 0 && !mayConnect(host, host, allow)) throw invalid('its address is not on the public internet; WEBHOOK_ALLOW can name it');
  if ((host === 'localhost' || host.endsWith('.localhost')) && !mayConnect('127.0.0.1', host, allow) && !mayConnect('::1', host, allow)) throw invalid('its host is this machine; WEBHOOK_ALLOW can name it');
  return url.href;
}

/** The host without the brackets of an IPv6 address, and without the dot that ends an absolute name. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
}

function invalid(why: string): Problem {
  return new Problem('invalid-request', `url is not valid: ${why}.`, { field: 'url' });
}
