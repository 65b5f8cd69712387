import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { timeOfDay } from '../text.ts';
import { extremes, valueAt } from './figure-history.ts';
import type { Plot, PlotLine } from './plot.ts';

/** A value that is older than three figures is no value of the moment that somebody points at. */
const STALE_SECONDS = 30;

export interface ChartLine extends PlotLine {
  readonly name: string;
}

/** A figure of the last hour. A screen reader hears between which values it was; the table below the charts says the same. */
export function Chart({ title, lines, time, isBytes = false, format, plots }: {
  readonly title: string; readonly lines: readonly ChartLine[]; readonly time: readonly [from: number, to: number]; readonly isBytes?: boolean; readonly format: (value: number) => string;
  readonly plots: { readonly Plot: typeof Plot } | undefined;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | undefined>(undefined);
  const [pointed, setPointed] = useState<number>();

  useEffect(() => {
    if (plots === undefined) return;
    const made = plot.current = new plots.Plot({ box: box.current!, isBytes, format, onTime: setPointed });
    return () => {
      plot.current = undefined;
      made.close();
    };
  }, [plots]);
  useEffect(() => plot.current?.set(lines, time), [plots, lines, time]);

  const shown = (line: ChartLine): string => {
    const value = pointed === undefined ? line.values.at(-1) : valueAt(line, pointed, STALE_SECONDS);
    return value === undefined ? '–' : format(value);
  };
  return (
    <figure class="chart">
      <figcaption><span class="chart-title">{title}</span> <span class="chart-values" aria-hidden="true">{pointed !== undefined && `${timeOfDay(pointed * 1000)}: `}{lines.map((line, place) => <>{place > 0 && ', '}<span class={`chart-line chart-line-${line.color}`}>{shown(line)}</span></>)}</span></figcaption>
      <div class="chart-box" ref={box} role="img" aria-label={`${title}: ${lines.map((line) => `${line.name} ${inWords(line, format)}`).join('; ')}`} />
    </figure>
  );
}

function inWords(line: ChartLine, format: (value: number) => string): string {
  const found = extremes(line);
  return found === undefined ? 'has no figures yet' : `now ${format(found.now)}, between ${format(found.lowest)} and ${format(found.highest)}`;
}
