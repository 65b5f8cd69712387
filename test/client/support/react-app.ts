import { Activity, createElement, StrictMode, type ReactElement } from 'react';
import type { Connection } from '../../../src/client/client.ts';
import { TidingsProvider, useTidings, type UseTidingsOptions, type View } from '../../../src/client/react.ts';

/** A component with a topic, as an application has it: with options and functions that are others each time. A server renders it in one test, a page in another. */

export interface AppProps {
  readonly client: Connection;
  readonly topic: string;
  readonly options: UseTidingsOptions;
  readonly isHidden?: boolean;
  /** Called at each rendering. */
  readonly rendered: (view: View<unknown, number>) => void;
}

export function App({ client, isHidden = false, ...props }: AppProps): ReactElement {
  return createElement(StrictMode, null, createElement(TidingsProvider, { client }, createElement(Activity, { mode: isHidden ? 'hidden' : 'visible', children: createElement(List, props) })));
}

function List({ topic, options, rendered }: Omit<AppProps, 'client' | 'isHidden'>): ReactElement {
  const view = useTidings(topic, { ...options, reduce: (count: number) => count + 1, initial: 0 });
  rendered(view);
  return createElement('p', null, `${view.status}: ${view.messages.map(({ data }) => String(data)).join(' ')}`);
}
