import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError, type Api } from '../api.ts';
import { Confirm } from '../parts.tsx';
import { count, plural } from '../text.ts';

/** The answer of the service: the number of streams that leave each instance. */
interface Moves {
  readonly moving: number;
  readonly instances: readonly { readonly id: string; readonly moving: number; readonly off?: true }[];
  readonly partial?: true;
}

/** Shares the streams evenly among all instances, now. For administrators. */
export function Rebalance({ api, onDone }: { readonly api: Api; readonly onDone: () => void }): JSX.Element {
  const [isAsked, setAsked] = useState(false);
  const [told, setTold] = useState<string>();
  const begin = async (): Promise<void> => {
    try {
      setTold(wordsOf(await api.json<Moves>('instances/rebalance', { method: 'POST' })));
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'rebalance-off') throw error;
      setTold('The service does not move streams: its setting REBALANCE is off.');
    }
    onDone();
  };
  return (
    <>
      <button type="button" class="small" onClick={() => setAsked(true)}>Share streams evenly</button>
      {told !== undefined && <span class="said" role="status">{told}</span>}
      {isAsked && (
        <Confirm title="Share the streams evenly?" action="Share them" onClose={() => setAsked(false)} onConfirm={begin}>
          <p>Each instance with more streams than its share sends some of them away. Their clients come back at once, to another instance, and go on where they were.</p>
        </Confirm>
      )}
    </>
  );
}

function wordsOf({ moving, instances, partial }: Moves): string {
  const from = instances.filter((instance) => instance.moving > 0).map((instance) => `${count(instance.moving)} from ${instance.id}`).join(', ');
  const off = instances.filter((instance) => instance.off === true).map(({ id }) => id).join(', ');
  return [
    moving === 0 ? 'The streams are shared evenly already.' : `${plural(moving, 'stream')} ${moving === 1 ? 'moves' : 'move'}: ${from}.`,
    ...(off === '' ? [] : [`REBALANCE is off at ${off}.`]),
    ...(partial === true ? ['Some instances did not answer.'] : []),
  ].join(' ');
}
