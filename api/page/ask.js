// Ask a question, watch it being answered. Questions of this tab stay below, each on its own.
import { Answer } from "./answer.js";
import { post } from "./api.js";
import { Following } from "./following.js";
import { Component, createRef, html } from "./html.js";
import { Failure, KINDS } from "./parts.js";

const KEPT = 20;
const IDS = "mathcode-asked";
const FORCES = { "": "Decide for me", ...KINDS };
const EXAMPLES = [
  "Prove that the square root of 2 is irrational",
  "Implement a binary search tree in Python",
  "Implement Newton's method in Python and prove that it converges",
];

// The views come and go, what was asked stays, with its streams.
let asked = null;
let draft = "";

function remember() {
  sessionStorage.setItem(IDS, JSON.stringify(asked.map(({ id }) => id).slice(0, KEPT)));
}

function begin(following) {
  following.start();
  return following;
}

function recall() {
  const ids = JSON.parse(sessionStorage.getItem(IDS) ?? "[]");
  return ids.map((id) => begin(new Following(id)));
}

/** Watch a job that was just made, first among those asked here. */
export function add(job) {
  asked ??= recall();
  asked = [begin(new Following(job.id, job)), ...asked].slice(0, KEPT);
  remember();
}

export class AskView extends Component {
  prompt = createRef();
  state = { force: "", isSending: false };

  constructor() {
    super();
    asked ??= recall();
  }

  componentDidMount() {
    if (matchMedia("(hover: hover)").matches) this.prompt.current.focus();
    this.fit();
  }

  /** As high as the text. */
  fit() {
    const area = this.prompt.current;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight * 0.5)}px`;
  }

  async send(event) {
    event?.preventDefault();
    const prompt = draft;
    if (!prompt.trim() || this.state.isSending) return;
    this.setState({ isSending: true, error: null });
    try {
      add(await post("/v1/jobs", { prompt, ...this.wishes() }));
      if (draft === prompt) draft = ""; // else the next question is being written
      this.setState({}, () => this.fit());
    } catch (error) {
      this.setState({ error });
    }
    this.setState({ isSending: false });
  }

  wishes() {
    const wishes = {};
    if (this.state.force) wishes.force_task_type = this.state.force;
    for (const name of ["max_tokens", "temperature"]) {
      if (this.state[name]) wishes[name] = Number(this.state[name]);
    }
    for (const name of ["strategy", "priority"]) {
      if (this.state[name]) wishes[name] = this.state[name];
    }
    return wishes;
  }

  async retry(job) {
    add(await post(`/v1/jobs/${job.id}/retry`));
    this.toTop();
  }

  async force(job, kind) {
    const { max_tokens, temperature } = job.request.sampling;
    add(await post("/v1/jobs", { prompt: job.request.prompt, force_task_type: kind, temperature, ...(max_tokens ? { max_tokens } : {}) }));
    this.toTop();
  }

  toTop() {
    this.setState({}, () => document.querySelector(".answer")?.scrollIntoView({ block: "nearest" }));
  }

  forget() {
    for (const following of asked) following.stop();
    asked = [];
    remember();
    this.setState({}, () => this.prompt.current.focus());
  }

  type(event) {
    draft = event.target.value;
    this.setState({});
    this.fit();
  }

  onKey(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.send(event);
  }

  render(_, { force, isSending, error }) {
    return html`
      <h1 class="hidden">Ask</h1>
      <form class="composer card" onSubmit=${(event) => this.send(event)}>
        <label class="hidden" for="prompt">Your question</label>
        <textarea id="prompt" ref=${this.prompt} rows="3" value=${draft} placeholder="A question of mathematics, of code, or of both"
          onInput=${(event) => this.type(event)} onKeyDown=${(event) => this.onKey(event)} aria-describedby="keys"></textarea>
        <div class="row wrap">
          <fieldset class="segments">
            <legend class="hidden">Who answers</legend>
            ${Object.entries(FORCES).map(([value, label]) => html`<label key=${value}>
              <input type="radio" name="force" value=${value} checked=${force === value} onChange=${() => this.setState({ force: value })} /><span>${label}</span>
            </label>`)}
          </fieldset>
          <span class="spring"></span>
          <span class="muted small" id="keys">Ctrl + Enter</span>
          <button class="primary" disabled=${isSending || !draft.trim()}>${isSending ? "Sending…" : "Ask"}</button>
        </div>
        ${this.options()}
        <${Failure} error=${error} />
      </form>
      ${asked.length ? null : this.welcome()}
      <div class="answers">
        ${asked.map((following) => html`<${Answer} key=${following.id} following=${following} onRetry=${(job) => this.retry(job)} onForce=${(job, kind) => this.force(job, kind)} />`)}
      </div>
      ${asked.length ? html`<p class="row"><span class="muted small">Each question stands alone: the models do not see the others.</span><span class="spring"></span><button type="button" class="quiet" onClick=${() => this.forget()}>Clear this list</button></p>` : null}
    `;
  }

  options() {
    const set = (name) => (event) => this.setState({ [name]: event.target.value });
    const { max_tokens, temperature, strategy, priority } = this.state;
    return html`<details class="options">
      <summary>Options</summary>
      <div class="grid">
        <label class="field">Most tokens<input type="number" min="1" max="1000000" placeholder="default" value=${max_tokens ?? ""} onInput=${set("max_tokens")} /></label>
        <label class="field">Temperature<input type="number" min="0" max="2" step="0.1" placeholder="0" value=${temperature ?? ""} onInput=${set("temperature")} /></label>
        <label class="field">Both models<select value=${strategy ?? ""} onChange=${set("strategy")}><option value="">default</option><option value="parallel">at the same time</option><option value="sequential">mathematics first</option></select></label>
        <label class="field">Priority<select value=${priority ?? ""} onChange=${set("priority")}><option value="">normal</option><option value="high">high</option><option value="low">low</option></select></label>
      </div>
    </details>`;
  }

  welcome() {
    const choose = (text) => {
      draft = text;
      this.setState({}, () => (this.fit(), this.prompt.current.focus()));
    };
    return html`<section class="welcome">
      <p class="muted">A router reads the question and hands it to the mathematician, to the programmer, or to both. For example:</p>
      <ul class="examples">${EXAMPLES.map((text) => html`<li key=${text}><button type="button" class="quiet" onClick=${() => choose(text)}>${text}</button></li>`)}</ul>
    </section>`;
  }
}
