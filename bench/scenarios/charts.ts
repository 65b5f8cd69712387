/** Which figures of the kept results are drawn. */

export interface Chart {
  readonly file: string;
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
  readonly scenario: string;
  readonly case: string;
  readonly figure: string;
}

export const charts: readonly Chart[] = [
  {
    file: 'fanout.svg', title: 'CPU per delivered event, 10,000 streams, 5 messages a second', unit: 'µs of the server', digits: 1,
    scenario: 'fanout', case: '10,000 streams, 5 messages a second', figure: 'cpu',
  },
  {
    file: 'saturation.svg', title: 'Most deliveries a second, 10,000 streams, p99 under 250 ms', unit: 'deliveries a second', digits: 0,
    scenario: 'saturation', case: '10,000 streams', figure: 'deliveries',
  },
];
