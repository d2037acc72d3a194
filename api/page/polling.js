// A view that asks again every few seconds, while somebody looks at it.
import { Component } from "./html.js";

const SLOWEST_MS = 15_000;

export class Polling extends Component {
  everyMs = 3000;
  failures = 0;

  /** What is to be shown, as state. A subclass says how it is asked for. */
  async load() {
    return {};
  }

  componentDidMount() {
    this.onVisible = () => document.hidden || this.refresh();
    document.addEventListener("visibilitychange", this.onVisible);
    this.refresh();
  }

  componentWillUnmount() {
    this.isGone = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onVisible);
  }

  /** Ask now; of several at once only the last counts. */
  async refresh() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    clearTimeout(this.timer);
    let next;
    try {
      next = { ...(await this.load()), error: null };
      this.failures = 0;
    } catch (error) {
      next = { error };
      this.failures += 1;
    }
    if (this.isGone || turn !== this.turn) return;
    this.setState({ ...next, isLoaded: true });
    const pauseMs = Math.min(SLOWEST_MS, this.everyMs * 2 ** Math.min(3, this.failures));
    if (!document.hidden) this.timer = setTimeout(() => this.refresh(), pauseMs);
  }
}
