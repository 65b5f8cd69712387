import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Hook } from '../../hooks/hooks.ts';
import { Problem } from '../../model/problem.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import { failedLogin } from '../admission/access-rules.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { holderOf } from '../admission/holder.ts';
import { bodyOf } from '../input/body.ts';
import { readHookBody, readHookMessages, type HookBody } from '../input/hook-body.ts';
import { Type } from '../input/json-schema.ts';
import { KeptOut } from '../admission/kept-out.ts';
import { publishLimited } from '../limited-publish.ts';
import { limitedSender } from '../admission/limited-sender.ts';
import { PUBLISHED_TYPE, publishedBatch, REPLAYED_HEADERS } from '../output/published.ts';
import type { App, Service } from '../service.ts';
import { at, json, problems, StoredMessage } from './schemas.ts';

/** The longest question whether somebody is there that is answered. Stops a hook from echoing anything. Characters. */
const CHALLENGE_MAX_CHARACTERS = 1_000;

const HookPath = Type.Object({ hook: Type.String({ description: 'The name of a hook, as HOOKS_FILE declares it.' }) });
const SecretHookPath = Type.Object({ ...HookPath.properties, secret: Type.String({ description: 'A secret of the hook.' }) });

const description = 'Takes the webhooks of another system, such as GitHub. Their signature is their credential. The hook derives the topic, the event and the idempotency key.';
const FAILURES = ['invalid-request', 'invalid-topic', 'invalid-event', 'invalid-data', 'invalid-credential', 'forbidden', 'length-required', 'not-found', 'too-large', 'unsupported-media-type', 'topic-quota', 'rate-limited', 'overloaded', 'unavailable', 'outcome-unknown'] as const;
const schema = {
  tags: ['publish'], description,
  body: { content: { 'application/json': { schema: Type.Unknown() }, 'application/x-www-form-urlencoded': { schema: Type.Unknown() } } },
  response: { 201: json('All messages of the request are stored, durably.', Type.Object({ messages: Type.Array(StoredMessage) })), ...problems(...FAILURES) },
};

type Outcome = 'stored' | 'replayed' | 'asked' | 'forged' | 'refused';

/** `POST /hooks/{hook}`, and `POST /hooks/{hook}/{secret}`. */
export function hookRoutes(app: App, service: Service): void {
  const { config, counters, hooks, limits } = service;
  const keptOut = new KeptOut(service.logger);

  const take = async (request: FastifyRequest, reply: FastifyReply, name: string, pathSecret: string | undefined): Promise<FastifyReply> => {
    const hook = hooks.find(name);
    if (hook === undefined) throw new Problem('not-found', 'There is no hook of this name.', { field: 'hook' });
    await checkSender(hook, request, pathSecret);
    try {
      const body = readHookBody(request.headers, bodyOf(request), config.MESSAGE_BYTES);
      const challenge = hook.asksFirst ? challengeIn(body) : undefined;
      if (challenge !== undefined) {
        count(hook, 'asked');
        return await reply.code(200).type('text/plain; charset=utf-8').send(challenge);
      }
      return await publish(hook, request, reply, body);
    } catch (error) {
      count(hook, 'refused');
      throw error;
    }
  };

  const count = ({ name }: Hook, outcome: Outcome): void => {
    const key = `${name} ${outcome}`;
    counters.hooks.set(key, (counters.hooks.get(key) ?? 0) + 1);
  };

  const checkSender = async (hook: Hook, request: FastifyRequest, pathSecret: string | undefined): Promise<void> => {
    const { clientAddress } = request.admission;
    const forged = pathSecret !== undefined && !hook.isInPath
      ? { field: 'path', why: 'this hook has no secret in its path' }
      : hook.verify({ headers: request.headers, body: bodyOf(request), pathSecret, now: Math.floor(Date.now() / 1000) });
    if (forged === undefined) return;
    // Its address may have failed too often: then it gets 429, but its request is forged too.
    count(hook, 'forged');
    keptOut.credential(`hook ${hook.name}: ${forged.field}: ${forged.why}`, request, clientAddress);
    throw await failedLogin(new Problem('invalid-credential', `${forged.field} is not good: ${forged.why}.`, { field: forged.field }), ENDPOINTS.hook, limits, { address: clientAddress });
  };

  const publish = async (hook: Hook, request: FastifyRequest, reply: FastifyReply, body: HookBody): Promise<FastifyReply> => {
    const { identity } = hook;
    const { drafts, key } = readHookMessages(hook, identity.scope, request.headers, body, config);
    const exceeded = await limits.publish(limitedSender(identity, request.admission.clientAddress)!, 1);
    if (exceeded !== undefined) throw exceeded;
    const holder = (): Holder => holderOf(identity, request.admission.clientAddress, request.raw.socket);
    const receipt = await publishLimited(service, { ...request.admission, identity, holder }, drafts, key);
    count(hook, receipt.replayed ? 'replayed' : 'stored');
    if (receipt.replayed) void reply.headers(REPLAYED_HEADERS);
    return reply.code(201).type(PUBLISHED_TYPE).send(publishedBatch(drafts, receipt));
  };

  app.route({
    ...at(ENDPOINTS.hook, config),
    schema: { ...schema, summary: 'Publish the delivery of another system', params: HookPath },
    handler: (request, reply) => take(request, reply, request.params.hook, undefined),
  });
  app.route({
    ...at(ENDPOINTS.secretHook, config),
    schema: { ...schema, summary: 'The same, for systems that can send nothing but a URL', params: SecretHookPath },
    handler: (request, reply) => take(request, reply, request.params.hook, request.params.secret),
  });
}

/** Slack asks so before it sends anything. */
function challengeIn({ value }: HookBody): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, challenge } = value as Readonly<Record<string, unknown>>;
  return type === 'url_verification' && typeof challenge === 'string' && challenge.length <= CHALLENGE_MAX_CHARACTERS ? challenge : undefined;
}
