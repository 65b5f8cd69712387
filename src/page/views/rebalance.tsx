import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError, type Api } from '../api.ts';
import { Confirm } from '../parts.tsx';
import { count, plural } from '../text.ts';

/** What the service answers: how many streams are to move from which instance. */
interface Moves {
  readonly instances: readonly { readonly id: string; readonly streams: number }[];
}

/** Shares the streams evenly among all instances, now. For administrators. */
export function Rebalance({ api, onDone }: { readonly api: Api; readonly onDone: () => void }): JSX.Element {
  const [isAsked, setAsked] = useState(false);
  const [told, setTold] = useState<string>();
  const begin = async (): Promise<void> => {
    try {
      const { instances } = await api.json<Moves>('instances/rebalance', { method: 'POST' });
      setTold(wordsOf(instances));
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

function wordsOf(instances: Moves['instances']): string {
  const moving = instances.filter(({ streams }) => streams > 0);
  if (moving.length === 0) return 'The streams are shared evenly already.';
  const total = moving.reduce((sum, { streams }) => sum + streams, 0);
  return `${plural(total, 'stream')} ${total === 1 ? 'moves' : 'move'}: ${moving.map(({ id, streams }) => `${count(streams)} from ${id}`).join(', ')}.`;
}
