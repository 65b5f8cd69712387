import { connect, createServer, type Socket } from 'node:net';
import { HubBus } from '../../src/bus/hub/bus.ts';
import type { HubCall, HubCalls } from '../../src/bus/hub/calls.ts';
import { HubConnection } from '../../src/bus/hub/connection.ts';
import { ANSWERED_FRAME_MAX_BYTES, FRAME, framesIn, HUB_VERSION, hubFraming, jsonFrame } from '../../src/bus/hub/frames.ts';
import { startHub, type Hub } from '../../src/bus/hub/hub.ts';
import { systemClock, type Clock } from '../../src/runtime/clock.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { guardSocket } from '../../src/runtime/sockets/guarded-socket.ts';
import { Ear } from '../contract/bus.ts';
import { recordingLogger } from './logger.ts';
import type { Scope } from './temp.ts';

/** A hub that is closed when the test is over; closing twice does no harm. */
export async function openHub(t: Scope, { path, clock = systemClock }: { readonly path?: string; readonly clock?: Clock } = {}): Promise<Hub & { readonly lines: readonly string[] }> {
  const { logger, lines } = recordingLogger();
  const hub = await startHub({ ...(path === undefined ? {} : { path }), clock, logger });
  t.teardown(() => hub.close());
  return { path: hub.path, close: () => hub.close(), lines };
}

export interface HubWorker {
  readonly connection: HubConnection;
  /** What the connection logged. */
  readonly lines: readonly string[];
}

/** The connection of one more worker. Its users close it. */
export function hubWorker(path: string, clock: Clock = systemClock): HubWorker {
  const { logger, lines } = recordingLogger();
  return { connection: new HubConnection({ path, clock, logger }), lines };
}

export interface OpenHubBus extends HubWorker {
  readonly bus: HubBus;
  readonly ear: Ear;
  readonly counters: Counters;
}

/** The bus of one more worker, which has joined no log yet. */
export function hubBus(path: string, clock: Clock = systemClock): Omit<OpenHubBus, 'ear'> {
  const worker = hubWorker(path, clock);
  const counters = new Counters();
  return { ...worker, counters, bus: new HubBus({ connection: worker.connection, clock, counters }) };
}

/** The same, which has joined, but need not be up. */
export function openHubBus(t: Scope, path: string, logId: string, clock: Clock = systemClock): OpenHubBus {
  const opened = hubBus(path, clock);
  t.teardown(() => opened.bus.close());
  const ear = new Ear();
  opened.bus.join(logId, ear);
  return { ...opened, ear };
}

/** A program that connects to the hub by itself. */
export interface HubStranger {
  readonly socket: Socket;
  /** The kinds of the frames that came, but for answers. */
  readonly kinds: readonly number[];
  /** Their bodies. */
  readonly bodies: readonly Buffer[];
  readonly isGone: () => boolean;
  /** Rejects where the hub refuses the question. */
  readonly ask: <Name extends HubCall>(name: Name, argument: HubCalls[Name]['argument']) => Promise<HubCalls[Name]['value']>;
}

export function hubStranger(t: Scope, path: string): HubStranger {
  const socket = connect({ path });
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined);
  guardSocket(socket, hubFraming(ANSWERED_FRAME_MAX_BYTES));
  const kinds: number[] = [];
  const bodies: Buffer[] = [];
  const asked: PromiseWithResolvers<unknown>[] = [];
  let isGone = false;
  socket.on('close', () => {
    isGone = true;
  });
  socket.on('data', (bytes: Buffer) => {
    for (const { kind, body } of framesIn(bytes)) {
      if (kind === FRAME.answer) {
        const { value, error } = JSON.parse(body.toString()) as { readonly value?: unknown; readonly error?: string };
        if (error === undefined) asked.shift()!.resolve(value);
        else asked.shift()!.reject(new Error(error));
      }
      else {
        kinds.push(kind);
        bodies.push(kind === FRAME.append || kind === FRAME.appended ? Buffer.from(body) : Buffer.alloc(0));
      }
    }
  });
  return {
    socket, kinds, bodies, isGone: () => isGone,
    ask: <Name extends HubCall>(name: Name, argument: HubCalls[Name]['argument']) => {
      const answer = Promise.withResolvers<HubCalls[Name]['value']>();
      asked.push(answer as PromiseWithResolvers<unknown>);
      socket.write(jsonFrame(FRAME.question, { id: asked.length, name, argument }));
      return answer.promise;
    },
  };
}

/** Stands in for the hub. What it answers with undefined is answered later, by `answerRest`, or never. */
export async function impostorHub(t: Scope, path: string, answer: (name: HubCall) => unknown = (name) => name === 'hello' ? { version: HUB_VERSION } : null): Promise<{ readonly asked: readonly string[]; readonly answerRest: (value: unknown) => void }> {
  const sockets = new Set<Socket>();
  const asked: string[] = [];
  const rest: ((value: unknown) => void)[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    guardSocket(socket, hubFraming(ANSWERED_FRAME_MAX_BYTES));
    socket.on('data', (bytes: Buffer) => {
      for (const { body } of framesIn(bytes)) {
        const { id, name } = JSON.parse(body.toString()) as { readonly id: number; readonly name: HubCall };
        asked.push(name);
        const send = (value: unknown): void => void socket.write(jsonFrame(FRAME.answer, { id, value }));
        const value = answer(name);
        if (value === undefined) rest.push(send);
        else send(value);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen({ path }, resolve));
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { asked, answerRest: (value) => rest.splice(0).forEach((send) => send(value)) };
}
