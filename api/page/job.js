// One job in full: its answer, and everything that the ledger says of it.
import { add } from "./ask.js";
import { Answer } from "./answer.js";
import { post } from "./api.js";
import { Following, isFinal } from "./following.js";
import { Component, html } from "./html.js";
import { Ago, CopyButton, lasted } from "./parts.js";

export class JobView extends Component {
  constructor(props) {
    super(props);
    this.following = new Following(props.id);
  }

  componentDidMount() {
    this.following.watch(() => this.forceUpdate());
    this.following.start();
  }

  componentWillUnmount() {
    this.following.stop();
  }

  async retry(job) {
    const again = await post(`/v1/jobs/${job.id}/retry`);
    add(again);
    location.hash = `#/jobs/${again.id}`;
  }

  render({ id }) {
    const { job } = this.following;
    return html`
      <p><a href="#/jobs">← All jobs</a></p>
      <h1 class="row wrap">Job <code class="id">${id}</code> <${CopyButton} text=${id} what="the id" /></h1>
      <${Answer} following=${this.following} showsLink=${false} onRetry=${(each) => this.retry(each)} />
      ${job ? html`<section class="card"><h2>The ledger says</h2>${facts(job)}</section>` : null}
    `;
  }
}

const USUAL = { top_p: 1, min_p: 0, repetition_penalty: 1, frequency_penalty: 0, presence_penalty: 0 };
const isUsual = (name, value) => value === null || value === USUAL[name] || (Array.isArray(value) && !value.length);

function facts(job) {
  const { request } = job;
  const sampling = Object.entries(request.sampling).filter(([name, value]) => name === "temperature" || !isUsual(name, value));
  const rows = [
    ["Asked", html`<${Ago} at=${job.created_at} />`],
    ["Waited", lasted(job.created_at, job.started_at)],
    ["Answered in", lasted(job.started_at, job.finished_at)],
    ...(isFinal(job.status) ? [] : [["Must end by", html`<${Ago} at=${job.deadline_at} />`]]),
    ["Priority", request.priority],
    ["Strategy", request.strategy],
    ["Earlier turns", String(request.history?.length ?? 0)],
    ["Drawn with", sampling.map(([name, value]) => `${name} ${value}`).join(", ")],
  ];
  return html`<dl class="facts">${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}
