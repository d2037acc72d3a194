// Who serves: workers and cards, and how queues and engines have been while this page was open.
import { get } from "./api.js";
import { LineChart } from "./charts.js";
import { html } from "./html.js";
import { Ago, ago, Bar, bytes, count, duration, Empty, Failure, MODELS, plural, Status } from "./parts.js";
import { Polling } from "./polling.js";
import { sampler } from "./samples.js";

export class FleetView extends Polling {
  async load() {
    const [status, queues] = await Promise.all([get("/v1/status"), get("/v1/queues")]);
    return { status, queues: queues.data };
  }

  render(_, { status, queues, error }) {
    if (!status) return html`<h1>Fleet</h1><${Failure} error=${error} />${error ? null : html`<p class="muted">Loading…</p>`}`;
    return html`
      <h1>Fleet</h1>
      <${Failure} error=${error} />
      ${alarms(status)}
      <section class="tiles" aria-label="Now">
        ${queues.map((queue) => tile(queue, status.roster ?? []))}
        <div class="tile"><h2>Services</h2><p><span class="name">PostgreSQL</span> <${Status} value=${status.database} /></p><p><span class="name">Redis</span> <${Status} value=${status.broker} /></p><p class="muted">profile ${status.profile}</p></div>
      </section>
      ${this.curves()}
      ${workers(status.roster ?? [])}
      ${cards(status.roster ?? [])}
      ${flower()}
    `;
  }

  /** Drawn again whenever this view asks, from what the sampler has kept. */
  curves() {
    const samples = sampler.samples;
    const minutes = (at) => (at === samples.at(-1)?.at ? "now" : ago(new Date(at)));
    const waiting = Object.keys(MODELS).map((model) => ({
      name: MODELS[model],
      points: samples.map(({ at, queues }) => [at, waits(queues.find((queue) => queue.model === model))]),
    }));
    const pace = Object.keys(MODELS).map((model) => ({
      name: MODELS[model],
      points: samples.map(({ at, status }) => [at, total(status.roster ?? [], model, "tokens_per_s")]),
    }));
    const memory = cardsOf(samples.at(-1)?.status.roster ?? []).map(({ uuid, name }) => ({
      name,
      points: samples.flatMap(({ at, status }) => cardsOf(status.roster ?? []).filter((card) => card.uuid === uuid).map((card) => [at, card.memory_used_bytes])),
    }));
    return html`<div class="pair">
      <section class="card"><h2>Waiting</h2><${LineChart} series=${waiting} label="Waiting completions" height=${180} formatX=${minutes} least=${4} /></section>
      <section class="card"><h2>Tokens per second</h2><${LineChart} series=${pace} label="Tokens per second" height=${180} formatX=${minutes} least=${4} /></section>
      ${memory.length ? html`<section class="card"><h2>GPU memory</h2><${LineChart} series=${memory} label="GPU memory in use" height=${180} formatX=${minutes} formatY=${bytes} least=${2 ** 30} /></section>` : null}
    </div>
    <p class="muted small below">Curves begin when this page was opened and reach back half an hour.</p>`;
  }
}

const waits = (queue) => (queue ? queue.queued + queue.held : 0);

function total(roster, model, name) {
  return roster.filter((worker) => worker.queue === model).reduce((sum, worker) => sum + (worker.metrics?.[name] ?? 0), 0);
}

function alarms(status) {
  const found = [...(status.alarms ?? [])];
  for (const model of Object.keys(MODELS)) {
    if (!status.workers[model]) found.push(`No worker serves ${MODELS[model]}: its jobs wait.`);
  }
  return found.length ? html`<div class="notice bad" role="alert"><ul>${found.map((alarm, index) => html`<li key=${index}>${alarm}</li>`)}</ul></div>` : null;
}

function tile(queue, roster) {
  const mine = roster.filter((worker) => worker.queue === queue.model);
  const slots = mine.reduce((sum, worker) => sum + worker.slots, 0);
  const running = total(roster, queue.model, "running");
  return html`<div class="tile" key=${queue.model}>
    <h2>${MODELS[queue.model]}</h2>
    <p class="big">${count(waits(queue))} <small>waiting</small></p>
    <${Bar} value=${running} most=${slots} label=${`Slots of ${MODELS[queue.model]} in use`} />
    <p class="muted">${count(running)} of ${plural(slots, "slot")} busy · ${count(Math.round(total(roster, queue.model, "tokens_per_s")))} tokens/s</p>
    <p class="muted">${queue.queued ? `the first has waited ${duration(queue.oldest_s)}` : queue.held ? "held back for others" : "nothing waits"}</p>
  </div>`;
}

function workers(roster) {
  if (!roster.length) return html`<${Empty}>No worker is alive. <code>mathcode up</code> starts them.<//>`;
  return html`<section class="card"><h2>Workers</h2><table class="list">
    <thead><tr><th>Worker</th><th>State</th><th class="end">Slots</th><th class="end">Tokens/s</th><th class="end">First token</th><th class="end">Between tokens</th><th>Cache</th><th>Seen</th></tr></thead>
    <tbody>${roster.map(row)}</tbody></table>
    <p class="muted small">First token, between tokens: median and 95th percentile of recent requests. Cache: keys and values, or states, of what is being answered.</p></section>`;
}

function row({ name, state, version, slots, metrics, card, seen_at: seen, is_pinned: isPinned }) {
  return html`<tr key=${name}>
    <td class="wide"><span class="name">${name}</span><br /><span class="muted small">${[version && `${version}${isPinned ? " (pinned)" : ""}`, card && `card ${card}`].filter(Boolean).join(" · ") || "no model"}</span></td>
    <td><${Status} value=${metrics?.is_asleep ? "asleep" : state} /></td>
    <td class="end" data-label="Slots">${metrics ? `${metrics.running} of ${slots}` : slots}</td>
    <td class="end" data-label="Tokens/s">${metrics ? count(Math.round(metrics.tokens_per_s)) : "–"}</td>
    <td class="end" data-label="First token">${both(metrics?.first_token_p50_s, metrics?.first_token_p95_s)}</td>
    <td class="end" data-label="Between tokens">${both(metrics?.token_p50_s, metrics?.token_p95_s)}</td>
    <td data-label="Cache">${metrics?.memory_bytes ? html`<${Bar} value=${metrics.memory_used_bytes} most=${metrics.memory_bytes} label=${`Cache of ${name}`} /><span class="small muted">${bytes(metrics.memory_used_bytes)} of ${bytes(metrics.memory_bytes)}</span>` : "–"}</td>
    <td data-label="Seen"><${Ago} at=${seen} /></td>
  </tr>`;
}

const both = (half, most) => (half == null ? "–" : `${duration(half)} / ${duration(most)}`);

/** Cards as the workers' driver sees them; the same card seen by several stands once. */
const cardsOf = (roster) => [...new Map(roster.flatMap((worker) => worker.gpus ?? []).map((gpu) => [gpu.uuid, gpu])).values()];

function cards(roster) {
  const found = cardsOf(roster);
  if (!found.length) return null;
  return html`<section class="card"><h2>GPUs</h2>${found.map((gpu) => html`<div key=${gpu.uuid}>
    <p><b>${gpu.name}</b> <span class="muted">${gpu.utilization == null ? "" : `${Math.round(gpu.utilization * 100)} % busy · `}${bytes(gpu.memory_used_bytes)} of ${bytes(gpu.memory_total_bytes)}</span></p>
    <${Bar} value=${gpu.memory_used_bytes} most=${gpu.memory_total_bytes} label=${`Memory of ${gpu.name}`} /></div>`)}</section>`;
}

/** Flower listens on the server's loopback alone: a link for who sits there, a way there for others. */
function flower() {
  const port = document.querySelector("meta[name='flower-port']").content;
  const isHere = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  return html`<section class="card"><h2>Queues in detail</h2>
    ${isHere
      ? html`<p><a href=${`http://127.0.0.1:${port}/`} target="_blank" rel="noopener">Flower</a> shows Celery's tasks and workers. User <code>mathcode</code>, password as <code>mathcode up</code> set it.</p>`
      : html`<p>Flower shows Celery's tasks and workers, on the server's own port ${port} alone: <code>ssh -L ${port}:127.0.0.1:${port} ${location.hostname}</code>, then open <code>http://127.0.0.1:${port}/</code>.</p>`}
    <p class="muted small"><a href="docs">The API's routes</a> are described at <code>/docs</code>.</p></section>`;
}
