// Small things that every view is made of.
import { Component, createRef, html } from "./html.js";

const COPIED_MS = 1500;

export class CopyButton extends Component {
  componentWillUnmount() {
    clearTimeout(this.timer);
  }

  async copy() {
    const { text } = this.props;
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      said = copyBySelection(text) ? "Copied" : "Copying was refused";
    }
    this.setState({ said });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.setState({ said: null }), COPIED_MS);
  }

  render({ what, label = "Copy" }, { said }) {
    return html`<button type="button" class="quiet copy" onClick=${() => this.copy()}>
      <span aria-live="polite">${said ?? label}</span><span class="hidden"> ${said ? "" : what}</span>
    </button>`;
  }
}

/** Where the page is not served over HTTPS or from this machine, browsers have no clipboard for it. */
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden";
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}

export const Status = ({ value }) => html`<span class="status status-${value}">${String(value).replaceAll("_", " ")}</span>`;

export const KINDS = { math: "Mathematics", code: "Code", hybrid: "Both" };
export const MODELS = { mathstral: "Mathstral", codestral: "Codestral" };

export const Failure = ({ error }) =>
  error ? html`<p class="notice bad" role="alert">${error.message}${error.retryAfter ? ` (again in ${error.retryAfter} s)` : ""}</p>` : null;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

export function Bar({ value, most, label }) {
  return html`<progress value=${value} max=${Math.max(1, most)} aria-label=${label}>${value} of ${most}</progress>`;
}

/** Since when, in words; the moment itself on the element. */
export function Ago({ at }) {
  if (!at) return "–";
  const moment = typeof at === "number" ? new Date(at * 1000) : new Date(at);
  return html`<time dateTime=${moment.toISOString()} title=${moment.toLocaleString()}>${ago(moment)}</time>`;
}

export function ago(moment, now = Date.now()) {
  const seconds = (now - moment) / 1000;
  if (Math.abs(seconds) < 10) return "just now";
  const words = rounded(Math.abs(seconds));
  return seconds > 0 ? `${words} ago` : `in ${words}`;
}

function rounded(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function lasted(from, to) {
  if (!from || !to) return "–";
  return duration((new Date(to) - new Date(from)) / 1000);
}

export function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export function bytes(count) {
  if (count == null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = count > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(count) / 10)) : 0;
  return `${(count / 1024 ** power).toFixed(power ? 1 : 0)} ${units[power]}`;
}

export const count = (value) => (value == null ? "–" : value.toLocaleString("en"));
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** A question asked in a dialog of the browser's own: it holds the focus and Escape closes it. */
export class Dialog extends Component {
  dialog = createRef();

  componentDidMount() {
    this.dialog.current.showModal();
  }

  render({ title, children, onClose }) {
    return html`<dialog ref=${this.dialog} aria-labelledby="dialog-title" onClose=${onClose}>
      <h2 id="dialog-title">${title}</h2>
      ${children}
    </dialog>`;
  }
}
