import { connect } from 'node:net';
import { Child } from './child.ts';
import { freePort } from './ports.ts';
import type { Scope } from './temp.ts';
import { until } from './until.ts';

/** How often another port is tried when someone else took the one that was free. */
const PORT_ATTEMPTS = 5;

/** A load balancer of a test alone, with the configuration that operators are given, on a free port of 127.0.0.1. */
export interface Balancer {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
}

/** What starts it for a port. */
export interface Start {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** Resolves when it takes connections. Killed when the test is over. */
export async function startBalancer(t: Scope, name: string, start: (port: number) => Start): Promise<Balancer> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const { command, args, env } = start(port);
    const child = new Child(t, command, args, env === undefined ? {} : { env: { PATH: process.env['PATH'], ...env } });
    await until(`${name} takes connections`, async () => !child.running || await takesConnections(port));
    if (child.running) return { port, url: `http://127.0.0.1:${port}`, pid: child.pid };
    await child.exited;
    if (attempt === PORT_ATTEMPTS || !/address already in use|cannot bind/i.test(child.output)) throw new Error(`${name} ended:\n${child.output}`);
  }
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      resolve(true);
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
  });
}
