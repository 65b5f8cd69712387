import { request } from 'node:http';
import { connect, createServer } from 'node:net';

/** Below the ports that systems give to outgoing connections: none of the load's thousands takes one while a server is started again. */
const LOWEST = 20_000;
const HIGHEST = 32_000;
const ATTEMPTS = 100;

/** Given once in a run, also when the server that had it is gone: its old connections linger. */
const given = new Set<number>();

/** A port of 127.0.0.1 that nothing listens on. Someone else may still be quicker: then the server says so, and another is tried. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error('No free port was found');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Whether something takes connections there. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** The status that a server there answers a GET with, whatever follows the head; undefined if nothing. For a stream too. */
export function answers(port: number, path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path, agent: false, headers: { accept: 'text/event-stream' } }, (answer) => {
      resolve(answer.statusCode);
      asked.destroy();
    });
    asked.once('error', () => resolve(undefined)).end();
  });
}
