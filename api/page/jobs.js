// All jobs, newest first: by status, opened, cancelled, asked again.
import { get, post } from "./api.js";
import { isFinal } from "./following.js";
import { html } from "./html.js";
import { Ago, Empty, Failure, KINDS, lasted, Status } from "./parts.js";
import { Polling } from "./polling.js";

const LIMIT = 25;
const STATES = ["queued", "running", "succeeded", "failed", "dead", "cancelled", "expired"];

export class JobsView extends Polling {
  get status() {
    const asked = this.props.query.get("status");
    return STATES.includes(asked) ? asked : "";
  }

  componentDidUpdate(before) {
    if (before.query.get("status") !== this.props.query.get("status")) {
      this.setState({ jobs: null, isLoaded: false, pages: 1 });
      this.refresh();
    }
  }

  /** As many pages as are shown, in order, so that nothing shown goes stale. */
  async load() {
    const jobs = [];
    let hasMore = true;
    for (let page = 0; hasMore && page < (this.state.pages ?? 1); page += 1) {
      const query = new URLSearchParams({ limit: LIMIT });
      if (this.status) query.set("status", this.status);
      if (jobs.length) query.set("after", jobs.at(-1).id);
      const found = await get(`/v1/jobs?${query}`);
      jobs.push(...found.data);
      hasMore = found.has_more;
    }
    return { jobs, hasMore };
  }

  more() {
    this.setState({ pages: (this.state.pages ?? 1) + 1 }, () => this.refresh());
  }

  async act(path) {
    this.setState({ refused: null });
    try {
      const job = await post(path);
      if (path.endsWith("/retry")) location.hash = `#/jobs/${job.id}`;
      else await this.refresh();
    } catch (refused) {
      this.setState({ refused });
    }
  }

  render(_, { jobs, hasMore, error, refused }) {
    return html`
      <h1>Jobs</h1>
      <nav class="filters" aria-label="Status">
        ${["", ...STATES].map((state) => html`<a key=${state} href=${state ? `#/jobs?status=${state}` : "#/jobs"} aria-current=${this.status === state ? "true" : undefined}>${state || "all"}</a>`)}
      </nav>
      <${Failure} error=${refused ?? error} />
      ${jobs && !jobs.length ? html`<${Empty}>${this.status ? `No job is ${this.status}.` : html`No job yet. <a href="#/ask">Ask something</a>.`}<//>` : null}
      ${jobs?.length ? this.table(jobs) : null}
      ${!jobs && !error ? html`<p class="muted">Loading…</p>` : null}
      ${jobs && hasMore ? html`<p><button type="button" onClick=${() => this.more()}>Show older ones</button></p>` : null}
    `;
  }

  table(jobs) {
    return html`<table class="list">
      <thead><tr><th>Status</th><th>Question</th><th>Kind</th><th>Asked</th><th>Took</th><th><span class="hidden">Do</span></th></tr></thead>
      <tbody>${jobs.map((job) => html`<tr key=${job.id}>
        <td><${Status} value=${job.status} /></td>
        <td class="wide"><a class="question-link" href=${`#/jobs/${job.id}`}>${job.prompt}</a></td>
        <td><span class="kind kind-${job.task_type}">${KINDS[job.task_type]}</span></td>
        <td data-label="Asked"><${Ago} at=${job.created_at} /></td>
        <td data-label="Took">${lasted(job.created_at, job.finished_at)}</td>
        <td class="end">${this.action(job)}</td>
      </tr>`)}</tbody>
    </table>`;
  }

  action(job) {
    const [verb, label] = isFinal(job.status) ? ["retry", "Ask again"] : ["cancel", "Cancel"];
    return html`<button type="button" class="quiet" onClick=${() => this.act(`/v1/jobs/${job.id}/${verb}`)}>${label}<span class="hidden">: ${job.prompt.slice(0, 60)}</span></button>`;
  }
}
