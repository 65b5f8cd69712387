import { isIP } from 'node:net';
import type { WebhookAllow } from '../config/webhook-allow.ts';
import { Problem } from '../model/problem.ts';
import { mayConnect } from './addresses.ts';

/** Stops a URL from filling a log line, or a page of webhooks from filling the memory. */
const TARGET_MAX_CHARACTERS = 2_048;

/**
 * Checks where a webhook is to go. The host name is not resolved: that is done for each connection, which goes to an address that was checked (sender.ts). An address in its place, however it is
 * written, is checked here and there.
 *
 * @throws Problem that names the member `url`, and never repeats it: a URL may hold a secret.
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
