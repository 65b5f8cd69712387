/**
 * Receivers of webhooks that hang: `node hanging-receiver.ts <count>`. It listens on so many ports of 127.0.0.1, each a host of its own to the service, and answers nothing there. It prints the ports
 * as JSON; the first is for the test, to which `GET /` tells what has come.
 */
import { createServer } from 'node:http';
import { listening } from './listening.ts';

/** The answer to the test. */
export interface HangingCounts {
  /** Deliveries that came, how many wait for an answer now, and the most that did. */
  readonly came: number;
  readonly open: number;
  readonly most: number;
}

const counts = { came: 0, open: 0, most: 0 };

const ports = [await listening(createServer((_request, response) => void response.end(JSON.stringify(counts satisfies HangingCounts))))];
for (let index = 0; index < Number(process.argv[2]); index++) {
  ports.push(await listening(createServer((request, response) => {
    request.resume();
    counts.came += 1;
    counts.open += 1;
    counts.most = Math.max(counts.most, counts.open);
    response.on('error', () => undefined).on('close', () => void (counts.open -= 1));
  })));
}
process.stdout.write(`${JSON.stringify(ports)}\n`);
