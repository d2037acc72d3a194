// Continuous training: what it waits for, the curve of a run, why runs ended as they did, versions in and out of service.
import { get } from "./api.js";
import { LineChart } from "./charts.js";
import { html } from "./html.js";
import { Ago, Bar, bytes, count, duration, Empty, Failure, lasted, plural, Status } from "./parts.js";
import { Polling } from "./polling.js";
import { Versions } from "./versions.js";

const OPEN = new Set(["queued", "running"]);

export class TrainingView extends Polling {
  /** Runs that have ended keep their curve: it is asked for once. */
  curves = new Map();

  async load() {
    const [overview, versions] = await Promise.all([get("/v1/training"), get("/v1/versions")]);
    const run = await this.curve(this.chosen(overview.runs));
    return { overview, versions, run };
  }

  chosen(runs) {
    return runs.find((run) => run.id === Number(this.props.id)) ?? (this.props.id ? { id: Number(this.props.id) } : runs.find((run) => OPEN.has(run.status)) ?? runs[0]);
  }

  async curve(run) {
    if (!run) return null;
    if (!this.curves.has(run.id)) {
      const whole = await get(`/v1/training/runs/${run.id}`);
      if (OPEN.has(whole.status)) return whole;
      this.curves.set(run.id, whole);
    }
    return this.curves.get(run.id);
  }

  render(_, { overview, versions, run, error }) {
    if (!overview) return html`<h1>Training</h1><${Failure} error=${error} />${error ? null : html`<p class="muted">Loading…</p>`}`;
    return html`
      <h1>Training</h1>
      <${Failure} error=${error} />
      ${standing(overview)}
      ${run ? html`<${Run} run=${run} />` : html`<${Empty}>No run yet. <code>mathcode ingest</code> fills the corpus, <code>mathcode train --now</code> does not wait for more.<//>`}
      <${Versions} versions=${versions} onChange=${() => this.refresh()} />
      ${overview.runs.length ? runs(overview.runs, run) : null}
    `;
  }
}

function standing(overview) {
  const { new_files: fresh, min_new_files: needed } = overview;
  return html`<section class="tiles" aria-label="How it stands">
    <div class="tile"><h2>In service</h2><p class="big">${overview.version ?? "base model"}</p><p class="muted">the code model's version</p></div>
    <div class="tile"><h2>New files</h2><p class="big">${count(fresh)} <small>of ${count(needed)}</small></p><${Bar} value=${Math.min(fresh, needed)} most=${needed} label="New files" /><p class="muted">${bytes(overview.new_bytes)}, fit for the next run</p></div>
    <div class="tile"><h2>Now</h2><p class="big">${overview.in_progress ? "training" : "waiting"}</p><p class="muted">${overview.in_progress ? "one run at a time" : fresh >= needed ? "a run begins at the next look" : `for ${plural(needed - fresh, "more file")}`}</p></div>
  </section>`;
}

function Run({ run }) {
  const { progress } = run;
  const series = [
    { name: "training loss", points: points(run.steps, "loss") },
    { name: "held-out loss", points: points(run.steps, "heldout_loss"), isSparse: true },
  ].filter((each) => each.points.length);
  return html`<section class="card" aria-labelledby="run-title">
    <div class="row wrap"><h2 id="run-title">Run ${run.id}</h2><${Status} value=${run.status} />
      <span class="muted">${run.stage ? `${run.stage}, attempt ${run.attempt}` : run.version ? `made ${run.version}` : ""}</span>
      <span class="spring"></span><span class="muted"><${Ago} at=${run.started_at ?? run.created_at} />${run.finished_at ? `, took ${lasted(run.started_at, run.finished_at)}` : ""}</span></div>
    ${progress.steps && OPEN.has(run.status) ? html`<${Bar} value=${progress.step ?? 0} most=${progress.steps} label="Steps" />
      <p class="muted">step ${count(progress.step)} of ${count(progress.steps)}${progress.tokens_per_s ? ` · ${count(Math.round(progress.tokens_per_s))} tokens/s` : ""}${progress.eta_s != null ? ` · ${duration(progress.eta_s)} left` : ""}</p>` : null}
    <${Reasons} run=${run} />
    ${series.length ? html`<${LineChart} series=${series} label=${`Losses of run ${run.id}`} formatX=${(step) => `step ${step}`} />` : null}
    <${Scores} scores=${run.scores} />
    ${run.notes.length ? html`<details><summary>${plural(run.notes.length, "note")}</summary><ul>${run.notes.map((note, index) => html`<li key=${index}>${note}</li>`)}</ul></details>` : null}
  </section>`;
}

function Reasons({ run }) {
  if (!run.reasons.length) return null;
  const isBad = ["rejected", "failed"].includes(run.status);
  return html`<div class=${isBad ? "notice bad" : "notice"}><p>${{ rejected: "Rejected, because", failed: "Failed, because", promoted: "Promoted, with" }[run.status] ?? "It says"}</p>
    <ul>${run.reasons.map((reason, index) => html`<li key=${index}>${reason}</li>`)}</ul></div>`;
}

/** The candidate beside the version in service, as they were measured. */
function Scores({ scores }) {
  const candidate = scores?.candidate?.losses;
  const serving = scores?.serving?.losses ?? {};
  if (!candidate) return null;
  return html`<table class="list narrow"><caption class="hidden">Losses, lower is better</caption>
    <thead><tr><th>Loss</th><th class="end">was</th><th class="end">is</th><th class="end">change</th></tr></thead>
    <tbody>${Object.keys(candidate).map((name) => html`<tr key=${name}><th scope="row">${name}</th><td class="end" data-label="was">${loss(serving[name])}</td><td class="end" data-label="is">${loss(candidate[name])}</td><td class="end" data-label="change">${change(candidate[name], serving[name])}</td></tr>`)}</tbody>
  </table>`;
}

function runs(all, shown) {
  return html`<section class="card"><h2>Runs</h2><table class="list">
    <thead><tr><th>Run</th><th>Status</th><th>Why</th><th>Made</th><th>Began</th></tr></thead>
    <tbody>${all.map((run) => html`<tr key=${run.id} aria-current=${run.id === shown?.id ? "true" : undefined}>
      <td data-label="Run"><a href=${`#/training/${run.id}`}>${run.id}</a></td><td><${Status} value=${run.status} /></td>
      <td class="wide">${run.reasons[0] ?? run.stage ?? ""}</td><td data-label="Made">${run.version ?? "–"}</td><td data-label="Began"><${Ago} at=${run.started_at ?? run.created_at} /></td>
    </tr>`)}</tbody></table></section>`;
}

const points = (steps, name) => steps.filter((step) => Number.isFinite(step[name])).map((step) => [step.step, step[name]]);
const loss = (value) => (Number.isFinite(value) ? value.toFixed(4) : "–");

function change(now, before) {
  if (!Number.isFinite(now) || !Number.isFinite(before) || !before) return "–";
  const percent = 100 * (now / before - 1);
  return `${percent > 0 ? "+" : ""}${percent.toFixed(1)} %`;
}
