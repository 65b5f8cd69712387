import uPlot from 'uplot';
import css from 'uplot/dist/uPlot.min.css?inline';
import type { Course } from './figure-history.ts';

/** Draws charts with uPlot: a module of its own (`charts.js`), which is loaded when somebody looks at the fleet. */

const AXIS_PIXELS = { left: 60, bottom: 28 };
const LABELS_APART_PIXELS = { left: 28, bottom: 60 };
/** Lines are told apart without their colours, too. */
const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 3], [10, 3, 2, 3]];
/** Steps of an axis of bytes, up to a pebibyte: powers of two. */
const BYTE_STEPS = Array.from({ length: 51 }, (_none, power) => 2 ** power);

/** The Content-Security-Policy takes no `<style>`, and lets a module have this. */
const sheet = new CSSStyleSheet();
sheet.replaceSync(css);
document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

export interface PlotLine extends Course {
  /** Its place among the colours of page.css. */
  readonly color: number;
}

export interface PlotDependencies {
  readonly box: HTMLElement;
  readonly isBytes: boolean;
  readonly format: (value: number) => string;
  /** @param time Where the pointer is, on this chart or another one of the view; undefined where it is on none. */
  readonly onTime: (time: number | undefined) => void;
}

export class Plot {
  readonly #dependencies: PlotDependencies;
  readonly #scheme = matchMedia('(prefers-color-scheme: dark)');
  readonly #observer: ResizeObserver;
  #colors: readonly string[] = [];
  #colorCount = 0;
  #chart: uPlot | undefined;
  #lines: readonly PlotLine[] = [];
  #time: readonly [number, number] = [0, 1];

  constructor(dependencies: PlotDependencies) {
    this.#dependencies = dependencies;
    this.#observer = new ResizeObserver(() => this.#chart?.setSize(this.#size()));
    this.#observer.observe(dependencies.box);
    this.#scheme.addEventListener('change', this.#recolor);
  }

  /** @param time The part that is shown. Seconds since 1970. */
  set(lines: readonly PlotLine[], time: readonly [from: number, to: number]): void {
    const isSame = lines.length === this.#lines.length && lines.every(({ color }, place) => color === this.#lines[place]!.color);
    this.#lines = lines;
    this.#time = time;
    const data = joined(lines);
    if (isSame && this.#chart !== undefined) {
      this.#chart.setData(data);
      return;
    }
    this.#chart?.destroy();
    this.#colorCount = Math.max(...lines.map(({ color }) => color)) + 1;
    this.#colors = this.#readColors();
    this.#chart = new uPlot(this.#options(), data, this.#dependencies.box);
  }

  close(): void {
    this.#observer.disconnect();
    this.#scheme.removeEventListener('change', this.#recolor);
    this.#chart?.destroy();
  }

  readonly #recolor = (): void => {
    this.#colors = this.#readColors();
    this.#chart?.redraw(false);
  };

  #size(): { readonly width: number; readonly height: number } {
    const { clientWidth, clientHeight } = this.#dependencies.box;
    return { width: Math.max(1, clientWidth), height: Math.max(1, clientHeight) };
  }

  /** A canvas knows no variables of CSS. The first ones are of axes and grid. */
  #readColors(): readonly string[] {
    const { style } = this.#dependencies.box;
    const colors = ['--soft', '--line', ...Array.from({ length: this.#colorCount }, (_none, place) => `--chart-${place}`)].map((name) => {
      style.color = `var(${name})`;
      return getComputedStyle(this.#dependencies.box).color;
    });
    style.color = '';
    return colors;
  }

  #options(): uPlot.Options {
    const { format, isBytes, onTime } = this.#dependencies;
    const { fontFamily } = getComputedStyle(this.#dependencies.box);
    const axis = { font: `12px ${fontFamily}`, stroke: () => this.#colors[0]!, grid: { stroke: () => this.#colors[1]!, width: 1 }, ticks: { show: false } };
    return {
      ...this.#size(),
      legend: { show: false },
      cursor: { sync: { key: 'fleet' }, drag: { x: false, y: false }, y: false },
      scales: { x: { range: () => [...this.#time] }, y: { range: (_chart, _least, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [
        { ...axis, size: AXIS_PIXELS.bottom, space: LABELS_APART_PIXELS.bottom, values: (_chart, splits) => splits.map(hoursAndMinutes) },
        { ...axis, size: AXIS_PIXELS.left, space: LABELS_APART_PIXELS.left, values: (_chart, splits) => splits.map(format), ...(isBytes ? { incrs: BYTE_STEPS } : {}) },
      ],
      series: [{}, ...this.#lines.map(({ color }) => ({ stroke: () => this.#colors[color + 2]!, width: 1.5, dash: [...DASHES[color % DASHES.length]!], points: { show: false } }))],
      hooks: { setCursor: [(chart) => onTime(chart.cursor.left === undefined || chart.cursor.left < 0 ? undefined : chart.posToVal(chart.cursor.left, 'x'))] },
    };
  }
}

/** One axis of time for all: an instance has figures at moments of its own. */
function joined(lines: readonly PlotLine[]): uPlot.AlignedData {
  return uPlot.join(lines.map(({ times, values }): uPlot.AlignedData => [[...times], [...values]]));
}

function hoursAndMinutes(seconds: number): string {
  const date = new Date(seconds * 1000);
  return `${date.getHours()}:${String(date.getMinutes()).padStart(2, '0')}`;
}
