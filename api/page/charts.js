// Line charts as SVG: a few series over a common axis, with what they say in words for who cannot see them.
import { Component, createRef, html } from "./html.js";

const LEFT = 46;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;

/** `series`: `[{name, points: [[x, y], ...], isSparse}]`. With `least` the axis goes from 0 to that, or higher. */
export class LineChart extends Component {
  frame = createRef();
  state = { width: 640 };

  componentDidMount() {
    this.observer = new ResizeObserver(([{ contentRect }]) => this.setState({ width: Math.max(240, Math.round(contentRect.width)) }));
    this.observer.observe(this.frame.current);
  }

  componentWillUnmount() {
    this.observer.disconnect();
  }

  render(props, { width }) {
    const isDrawn = props.series.flatMap((each) => each.points).length > 1;
    return html`<figure class="chart" ref=${this.frame}>
      ${isDrawn ? draw({ ...props, width }) : html`<p class="muted chart-empty">Nothing to draw yet.</p>`}
      ${isDrawn ? legend(props) : null}
    </figure>`;
  }
}

function draw({ series, label, width, height = 220, formatX = String, formatY = format, least = null }) {
  const points = series.flatMap((each) => each.points);
  const [x0, x1] = range(points.map(([x]) => x));
  const [y0, y1] = padded(range(points.map(([, y]) => y)), least);
  const px = (x) => LEFT + ((x - x0) / (x1 - x0 || 1)) * (width - LEFT - RIGHT);
  const py = (y) => height - BOTTOM - ((y - y0) / (y1 - y0 || 1)) * (height - TOP - BOTTOM);
  return html`<svg width=${width} height=${height} viewBox="0 0 ${width} ${height}" role="img" aria-label=${`${label}: ${summary(series, formatY)}`}>
    ${ticks(y0, y1).map((y) => html`<g key=${y}>
      <line class="grid-line" x1=${LEFT} x2=${width - RIGHT} y1=${py(y)} y2=${py(y)} />
      <text x=${LEFT - 6} y=${py(y) + 4} text-anchor="end">${formatY(y)}</text>
    </g>`)}
    <text x=${LEFT} y=${height - 6}>${formatX(x0)}</text>
    <text x=${width - RIGHT} y=${height - 6} text-anchor="end">${formatX(x1)}</text>
    ${series.map((each, index) => html`<g class="series series-${index}" key=${each.name}>
      <polyline points=${each.points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ")} />
      ${each.isSparse ? each.points.map(([x, y]) => html`<circle key=${x} cx=${px(x)} cy=${py(y)} r="3.5" />`) : null}
    </g>`)}
  </svg>`;
}

function legend({ series, formatY = format }) {
  const item = (each, index) => html`<span key=${each.name} class="series-${index}"><i></i>${each.name}${each.points.length ? html` <b>${formatY(each.points.at(-1)[1])}</b>` : ""}</span>`;
  return html`<figcaption class="legend">${series.map(item)}</figcaption>`;
}

const summary = (series, formatY) =>
  series.map(({ name, points }) => (points.length ? `${name} from ${formatY(points[0][1])} to ${formatY(points.at(-1)[1])}` : `${name} nothing`)).join(", ");

function range(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

function padded([low, high], least) {
  if (least !== null) return [Math.min(0, low), Math.max(least, high * 1.08)];
  const pad = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - pad, high + pad];
}

/** About four round numbers between the bounds. */
function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

function format(value) {
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}
