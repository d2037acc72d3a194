// Thumbs: what somebody thinks of an answer, and after a thumb down who should have given it. The router learns from it.
import { post } from "./api.js";
import { Component, html } from "./html.js";
import { Failure, KINDS } from "./parts.js";

const LABELS = { ...KINDS, other: "Neither" };
const THUMB = "M7 21H4a1 1 0 0 1-1-1v-8a1 1 0 0 1 1-1h3m0 10V11m0 10h9.3a2 2 0 0 0 2-1.6l1.5-7A2 2 0 0 0 17.8 10H13V5.5A2.5 2.5 0 0 0 10.5 3L7 11";

const name = (job) => `mathcode-said-${job.id}`;

export class Feedback extends Component {
  constructor(props) {
    super(props);
    this.state = { said: JSON.parse(sessionStorage.getItem(name(props.job)) ?? "{}") };
  }

  /** What is given replaces what was said before. */
  async say(said) {
    this.setState({ error: null });
    try {
      const { rating, label } = await post(`/v1/jobs/${this.props.job.id}/feedback`, said);
      const kept = { rating, ...(label ? { label } : {}) };
      sessionStorage.setItem(name(this.props.job), JSON.stringify(kept));
      this.setState({ said: kept });
    } catch (error) {
      this.setState({ error });
    }
  }

  render(_, { said, error }) {
    return html`<span class="thumbs" role="group" aria-label="What you think of it">
        ${this.thumb("up", "Good answer", said)}${this.thumb("down", "Bad answer", said)}
      </span>
      <span class="hidden" role="status">${said.rating ? "Thank you: it is kept." : ""}</span>
      ${said.rating === "down" ? this.labels(said) : null}
      <${Failure} error=${error} />`;
  }

  thumb(rating, label, said) {
    return html`<button type="button" class="quiet thumb thumb-${rating}" aria-pressed=${said.rating === rating} title=${label} onClick=${() => this.say({ rating })}>
      <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true"><path d=${THUMB} /></svg><span class="hidden">${label}</span>
    </button>`;
  }

  labels(said) {
    return html`<fieldset class="row wrap labels">
      <legend>It was a question of</legend>
      ${Object.entries(LABELS).map(([label, text]) => html`<button type="button" key=${label} class="quiet" aria-pressed=${said.label === label} onClick=${() => this.say({ rating: "down", label })}>${text}</button>`)}
    </fieldset>`;
  }
}
