import type { StreamSource } from './stream-source.ts';
import type { SourceDependencies } from './stream.ts';

/** The source that the options ask for; undefined: an event stream from the service. */
export async function sourceFor(dependencies: SourceDependencies): Promise<StreamSource | undefined> {
  const { options: { share, transport }, isLeading, stream } = dependencies;
  if (share && !isLeading) {
    const { shared } = await import('./sharing.ts');
    const source = await shared({ ...dependencies, restart: stream.restart });
    if (source !== undefined) return source;
  }
  return transport === 'websocket' ? (await import('./web-socket.ts')).webSocket(dependencies) : undefined;
}
