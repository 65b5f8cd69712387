import { connect } from 'http://127.0.0.1:8080/client.js';

/** How much of the past a chart shows. */
const WINDOW_MS = 120_000;
/** Measurements further apart than this are not joined by a line. */
const APART_MS = 5_000;
/** Stops a flood of measurements from filling the memory. */
const KEPT_POINTS = 1_000;
/** Where the curve is within the picture. */
const AREA = { left: 44, right: 392, top: 8, bottom: 136 };

const element = (name, attributes, text = '') => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
};

class Chart {
  #points = [];
  #card;

  constructor(card) {
    this.#card = card;
  }

  add(time, percent) {
    this.#points.push({ time, percent });
    if (this.#points.length > KEPT_POINTS) this.#points.shift();
  }

  draw(now) {
    this.#points = this.#points.filter(({ time }) => time > now - WINDOW_MS);
    const last = this.#points.at(-1);
    this.#card.querySelector('.value').textContent = last === undefined ? '–' : `${last.percent.toFixed(1)} %`;
    const x = (time) => AREA.right - (now - time) / WINDOW_MS * (AREA.right - AREA.left);
    const y = (percent) => AREA.bottom - Math.min(100, Math.max(0, percent)) / 100 * (AREA.bottom - AREA.top);
    const parts = [0, 50, 100].flatMap((percent) => [
      element('line', { class: 'grid', x1: AREA.left, x2: AREA.right, y1: y(percent), y2: y(percent) }),
      element('text', { class: 'label', x: AREA.left - 8, y: y(percent) + 4, 'text-anchor': 'end' }, `${percent}%`),
    ]);
    for (const [seconds, anchor] of [[120, 'start'], [60, 'middle'], [0, 'end']]) {
      parts.push(element('text', { class: 'label', x: x(now - seconds * 1_000), y: AREA.bottom + 20, 'text-anchor': anchor }, seconds === 0 ? 'now' : `${seconds} s ago`));
    }
    for (const run of this.#runs()) {
      const curve = run.map(({ time, percent }, index) => `${index === 0 ? 'M' : 'L'}${x(time).toFixed(1)} ${y(percent).toFixed(1)}`).join('');
      parts.push(element('path', { class: 'area', d: `${curve}L${x(run.at(-1).time).toFixed(1)} ${AREA.bottom}L${x(run[0].time).toFixed(1)} ${AREA.bottom}Z` }), element('path', { class: 'curve', d: curve }));
    }
    if (last !== undefined) parts.push(element('circle', { class: 'point', cx: x(last.time), cy: y(last.percent), r: 4 }));
    this.#card.querySelector('svg').replaceChildren(...parts);
  }

  /** Measurements that follow each other; a gap ends a run. */
  #runs() {
    const runs = [];
    for (const point of this.#points) {
      const run = runs.at(-1);
      if (run !== undefined && point.time - run.at(-1).time <= APART_MS) run.push(point);
      else runs.push([point]);
    }
    return runs;
  }
}

const charts = new Map(['cpu', 'memory'].map((name) => [`metrics.${name}`, new Chart(document.getElementById(name))]));
/** The service's clock counts: that of the page may be another. */
let newest = 0;
let isDue = false;

/** However many messages come at once, the page draws once. */
function drawSoon() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    for (const chart of charts.values()) chart.draw(newest);
  });
}

const tidings = connect('http://127.0.0.1:8080');
tidings.on('status', (status) => {
  const shown = document.getElementById('status');
  shown.textContent = shown.dataset.status = status;
});
tidings.subscribe('metrics.*', { since: '2m' }).on('message', ({ topic, time, data }) => {
  // Anybody may publish anything here.
  if (typeof data?.percent !== 'number') return;
  newest = Math.max(newest, Date.parse(time));
  charts.get(topic)?.add(Date.parse(time), data.percent);
  drawSoon();
});
drawSoon();
