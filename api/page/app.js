// The frame: where one is, the way to the other views, the key, and the colours.
import { get, key } from "./api.js";
import { AskView } from "./ask.js";
import { BatchesView } from "./batches.js";
import { FleetView } from "./fleet.js";
import { Component, createRef, html } from "./html.js";
import { JobView } from "./job.js";
import { JobsView } from "./jobs.js";
import { KeyDialog } from "./keys.js";
import { sampler } from "./samples.js";
import { TrainingView } from "./training.js";

const VIEWS = [
  ["ask", "Ask", AskView],
  ["jobs", "Jobs", JobsView],
  ["batches", "Batches", BatchesView],
  ["training", "Training", TrainingView],
  ["fleet", "Fleet", FleetView],
];
const THEMES = { auto: "light", light: "dark", dark: "auto" };

function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", id = ""] = path.split("/");
  return { view: VIEWS.some(([name]) => name === view) ? view : "ask", id, query: new URLSearchParams(query) };
}

function readTheme() {
  try {
    const kept = localStorage.getItem("mathcode-theme");
    return kept in THEMES ? kept : "auto";
  } catch {
    return "auto";
  }
}

export class App extends Component {
  main = createRef();
  state = { ...place(), theme: readTheme(), isAskingKey: key.isWanted() };

  componentDidMount() {
    this.onHash = () => this.move();
    addEventListener("hashchange", this.onHash);
    this.unwatch = key.watch(() => this.setState({ isAskingKey: key.isWanted(), epoch: key.isWanted() ? this.state.epoch : Date.now() }));
    this.dress(this.state.theme);
    this.name();
    sampler.start(() => get("/v1/queues"), () => get("/v1/status"), key.isWanted);
  }

  move() {
    this.setState(place(), () => {
      this.name();
      this.main.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    });
  }

  name() {
    const [, title] = VIEWS.find(([name]) => name === this.state.view);
    document.title = `${title} · mathcode`;
  }

  dress(theme) {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("mathcode-theme", theme);
    } catch {
      // kept for this page alone
    }
    this.setState({ theme });
  }

  render(_, { view, id, query, theme, isAskingKey, epoch }) {
    const Shown = view === "jobs" && id ? JobView : VIEWS.find(([name]) => name === view)[2];
    return html`
      <a class="skip" href="#main" onClick=${(event) => this.skip(event)}>Skip to content</a>
      <header class="bar">
        <a class="brand" href="#/ask"><img src="page/icon.svg" alt="" width="24" height="24" /> mathcode</a>
        <nav aria-label="Views">
          ${VIEWS.map(([name, title]) => html`<a href="#/${name}" key=${name} aria-current=${view === name ? "page" : undefined}>${title}</a>`)}
        </nav>
        <div class="tools">
          <button type="button" class="quiet" onClick=${() => this.setState({ isAskingKey: true })}>${key.get() ? "API key set" : "API key"}</button>
          <button type="button" class="quiet" onClick=${() => this.dress(THEMES[theme])} >Theme: ${theme}</button>
        </div>
      </header>
      <main class="main" id="main" tabindex="-1" ref=${this.main}>
        <${Shown} key=${`${view}/${id}/${epoch}`} id=${id} query=${query} />
      </main>
      ${isAskingKey ? html`<${KeyDialog} onClose=${() => this.setState({ isAskingKey: false })} />` : null}
    `;
  }

  skip(event) {
    event.preventDefault(); // the address names the view
    this.main.current.focus();
  }
}
