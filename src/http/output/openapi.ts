import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { PROBLEMS } from '../../model/problem.ts';

const CONTROL_EVENTS = `
Streams carry control events besides messages. Their names begin with \`$\` and their data is JSON:

| event | when | data |
|---|---|---|
| \`$open\` | first, with \`retry:\`; its id is the position where reading begins | \`{"cursor","stream"?:{"id","secret"}}\` |
| \`$cursor\` | now and then on a quiet stream; its id keeps the cursor fresh | \`{}\` |
| \`$gap\` | messages after the cursor may be gone | \`{"requested","resumed","oldest","reason"}\`; reason \`expired\`, \`unknown-log\`, \`ahead\` or \`forked\` |
| \`$erased\` | in the place of an erased message, with its id; on a live stream also about a message that it may have got | \`{"id"}\`, \`{"id","topic"}\` or \`{"topic","through"}\` |
| \`$presence\` | with \`presence=1\`: first the members that listen to a topic, then each change | \`{"topic","number","streams","members"}\`, then \`{"topic","number","streams","joined","changed","left"}\` |
| \`$expiring\` | a minute before the stream ends with its credential | \`{"secondsLeft"}\` |
| \`$busy\` | the credential has ended, or the instance is full, draining, or cannot read its log; the stream ends and the client comes back | \`{"retryMs", "reason"}\` |

\`control=0\` leaves them out.

If the request asks for an upgrade to \`websocket\`, the two streams are WebSockets, which this format cannot describe. Each message is then a text frame with the message as JSON, and each of these events a text frame with \`{"id"?,"event","retryMs"?,"data"}\`. A client may send \`{"publish":topic,"data":…}\` and \`{"add":[…],"remove":[…]}\`, and gets \`$answer\` or \`$error\`.`;

/** All of them: some are answered on every path, before there is a route. */
const ERRORS = `
Every error is \`application/problem+json\` (RFC 9457) with a stable \`code\`:

| code | status | meaning |
|---|---|---|
${Object.entries(PROBLEMS).map(([code, [status, title]]) => `| \`${code}\` | ${status} | ${title} |`).join('\n')}`;

/** The description of the service as a whole; the rest of the document comes from the schemas of the routes. */
export const openapi: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: { title: 'Tidings', version: '1', description: `A notification service over Server-Sent Events: curl in, EventSource out.\n${CONTROL_EVENTS}\n${ERRORS}` },
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key or a token.' },
        basic: { type: 'http', scheme: 'basic', description: 'An API key or a token as the password.' },
      },
    },
    // No credential is needed without access control, or for public topics.
    security: [{ bearer: [] }, { basic: [] }, {}],
    tags: [
      { name: 'publish', description: 'Put messages in' },
      { name: 'stream', description: 'Get messages as they come, as Server-Sent Events' },
      { name: 'client', description: 'The client library, the page and the index' },
      { name: 'history', description: 'Read messages in the log, one page at a time' },
      { name: 'presence', description: 'The members that listen, on all instances' },
      { name: 'session', description: 'A cookie in exchange for a key or token, for browsers' },
      { name: 'erasing', description: 'Take back messages that were published by mistake' },
      { name: 'webhooks', description: 'Messages sent to receivers by HTTP, for administrators' },
      { name: 'connectors', description: 'Sources and sinks: other systems that are connected to the log, for administrators' },
      { name: 'administration', description: 'API keys, revocations of tokens, the open streams and the instances, for administrators' },
      { name: 'operations', description: 'Health, metrics, the state of all instances, and this document; also at OPS_PORT, if it is set, without a credential' },
    ],
  },
};
