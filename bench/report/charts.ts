import { BarChart, CustomChart } from 'echarts/charts';
import { GridComponent, TitleComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { CustomSeriesRenderItem } from 'echarts';
import { spread, type Spread } from './statistics.ts';
import { decimal } from './table.ts';

/** Bars beside each other, with the range of the rounds drawn over them, as an SVG file's text. */

use([BarChart, CustomChart, GridComponent, TitleComponent, SVGRenderer]);

const WIDTH = 760;
const BAR = 34;
const MARGINS = 112;
/** Of a letter, roughly: the names must fit. */
const NAME_WIDTH = 6.6;
const NAME_MARGIN = 24;
const SUBJECT_COLOUR = '#1f6feb';
const PEER_COLOUR = '#9aa4b2';
const RANGE_COLOUR = '#24292f';
/** Half the height of the marks at the ends of a range. */
const CAP = 5;

export interface Bar {
  readonly name: string;
  readonly values: readonly number[];
  readonly emphasised: boolean;
}

export function barChart(title: string, unit: string, digits: number, bars: readonly Bar[]): string {
  const spreads = bars.map((bar) => spread(bar.values));
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: MARGINS + BAR * bars.length });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, subtext: `${unit}; median, and the range of ${Math.min(...bars.map((bar) => bar.values.length))} rounds`, left: 12, top: 8, textStyle: { fontSize: 15 } },
    grid: { left: NAME_MARGIN + NAME_WIDTH * Math.max(...bars.map((bar) => bar.name.length)), right: 90, top: 66, bottom: 34 },
    xAxis: { type: 'value', min: 0, splitLine: { lineStyle: { color: '#e5e7eb' } } },
    yAxis: { type: 'category', inverse: true, data: bars.map((bar) => bar.name), axisTick: { show: false } },
    series: [
      {
        type: 'bar', barWidth: '60%',
        data: bars.map((bar, index) => ({
          value: spreads[index]?.median ?? 0,
          itemStyle: { color: bar.emphasised ? SUBJECT_COLOUR : PEER_COLOUR },
        })),
      },
      {
        type: 'custom', z: 10, encode: { x: [1, 2], y: 0 },
        data: spreads.map(({ median, min, max }, index) => [index, min, max, median]),
        renderItem: rangeOf(spreads, digits),
      },
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

/** A line from the least to the most with the median in words after it. */
function rangeOf(spreads: readonly Spread[], digits: number): CustomSeriesRenderItem {
  return (_params, api) => {
    const index = Number(api.value(0));
    const [left = 0, y = 0] = api.coord([api.value(1), index]);
    const [right = 0] = api.coord([api.value(2), index]);
    const line = (x1: number, y1: number, x2: number, y2: number) => ({ type: 'line' as const, shape: { x1, y1, x2, y2 }, style: { stroke: RANGE_COLOUR, lineWidth: 1.2 } });
    return {
      type: 'group',
      children: [
        line(left, y, right, y), line(left, y - CAP, left, y + CAP), line(right, y - CAP, right, y + CAP),
        { type: 'text', style: { x: right + 8, y, text: decimal(spreads[index]?.median ?? 0, digits), fill: RANGE_COLOUR, fontSize: 13, verticalAlign: 'middle' } },
      ],
    };
  };
}
