/**
 * Receivers of webhooks that fail, and later hang: `node hanging-receiver.ts <count>`. It listens on so many ports of 127.0.0.1, each a host of its own to the service, and on one for the test. It
 * prints the ports as JSON, that of the test first. `POST /hang` there: from now on no delivery is answered. `GET /` tells what has come since.
 */
import { createServer } from 'node:http';
import { listening } from './listening.ts';

/** What the test is told. */
export interface HangingCounts {
  /** Deliveries that came since the receivers hang, how many wait for an answer now, and the most that did. */
  readonly came: number;
  readonly open: number;
  readonly most: number;
}

let hangs = false;
const counts = { came: 0, open: 0, most: 0 };

const control = createServer((request, response) => {
  if (request.method === 'POST') hangs = true;
  response.end(JSON.stringify(counts satisfies HangingCounts));
});

const ports = [await listening(control)];
for (let index = 0; index < Number(process.argv[2]); index++) {
  ports.push(await listening(createServer((request, response) => {
    request.resume();
    if (!hangs) {
      response.writeHead(500).end();
      return;
    }
    counts.came += 1;
    counts.open += 1;
    counts.most = Math.max(counts.most, counts.open);
    response.on('error', () => undefined).on('close', () => void (counts.open -= 1));
  })));
}
process.stdout.write(`${JSON.stringify(ports)}\n`);
