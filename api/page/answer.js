// One question and its answer: why it went where it went, what each model says, and what can be done about it.
import { isFinal } from "./following.js";
import { Feedback } from "./feedback.js";
import { Component, html } from "./html.js";
import { CopyButton, count, duration, Failure, KINDS, lasted, MODELS, Status } from "./parts.js";
import { Prose } from "./prose.js";

const ASKED = { math: ["mathstral"], code: ["codestral"], hybrid: ["mathstral", "codestral"] };
const ENDS = { stop: "ended by itself", length: "cut at its length" };

export class Answer extends Component {
  state = { isPlain: false, isWhole: false };

  componentDidMount() {
    this.unwatch = this.props.following.watch(() => this.forceUpdate());
  }

  componentWillUnmount() {
    this.unwatch();
  }

  async act(action) {
    this.setState({ error: null });
    try {
      await action();
    } catch (error) {
      this.setState({ error });
    }
  }

  render({ following, onRetry, onForce, heading = "h2", showsLink = true }, { isPlain, isWhole, error }) {
    const { job } = following;
    if (!job) return html`<div class="card"><${Failure} error=${following.error} />${following.error ? null : "Loading…"}</div>`;
    const isEnded = isFinal(job.status);
    return html`<article class="card answer" aria-busy=${!isEnded}>
      <header>
        <${Question} text=${job.request.prompt} heading=${heading} />
        <div class="row wrap">
          <${Status} value=${job.status} />
          <span class="muted" role="status">${following.isLost ? "Connection lost, trying again…" : progress(job)}</span>
          <span class="spring"></span>
          ${showsLink ? html`<a href=${`#/jobs/${job.id}`}>Details</a>` : null}
          ${isEnded ? null : html`<button type="button" onClick=${() => this.act(() => following.cancel())} disabled=${Boolean(job.cancel_requested_at)}>Cancel</button>`}
        </div>
      </header>
      <${Route} job=${job} />
      <${Failure} error=${error ?? following.error} />
      ${job.answer?.degraded && job.status === "succeeded" ? html`<p class="notice">One of the two models gave nothing; this is the other one's answer.</p>` : null}
      ${disagreements(job).map((text, index) => html`<div class="notice bad" key=${index}><${Prose} text=${text} /></div>`)}
      ${isWhole && isEnded
        ? html`<section class="part" aria-label="Whole answer">${isPlain ? html`<pre class="plain">${job.answer.response}</pre>` : html`<${Prose} text=${job.answer.response} />`}</section>`
        : ASKED[job.route.task_type].map((model) => html`<${Part} key=${model} ...${part(following, model)} model=${model} isPlain=${isPlain} isEnded=${isEnded} />`)}
      ${job.error ? html`<p class="notice bad">${job.error.message}</p>` : null}
      ${isEnded ? this.footer({ job, onRetry, onForce, isPlain, isWhole }) : null}
    </article>`;
  }

  footer({ job, onRetry, onForce, isPlain, isWhole }) {
    const others = Object.keys(KINDS).filter((kind) => kind !== job.route.task_type);
    return html`<footer class="row wrap">
      ${job.answer ? html`<${CopyButton} text=${job.answer.response} what="the whole answer" label="Copy answer" />` : null}
      <button type="button" class="quiet" aria-pressed=${isPlain} onClick=${() => this.setState({ isPlain: !isPlain })}>Plain text</button>
      ${job.answer?.completions.length > 1 ? html`<button type="button" class="quiet" aria-pressed=${isWhole} onClick=${() => this.setState({ isWhole: !isWhole })}>As one document</button>` : null}
      ${job.answer ? html`<${Feedback} job=${job} />` : null}
      <span class="spring"></span>
      <button type="button" class="quiet" onClick=${() => this.act(() => onRetry(job))}>Ask again</button>
      ${onForce ? others.map((kind) => html`<button type="button" class="quiet" key=${kind} onClick=${() => this.act(() => onForce(job, kind))}>Ask as ${KINDS[kind].toLowerCase()}</button>`) : null}
    </footer>`;
  }
}

function Question({ text, heading }) {
  const isLong = text.length > 280 || text.split("\n").length > 5;
  if (!isLong) return html`<${heading} class="question">${text}<//>`;
  const head = text.slice(0, 200).split("\n").slice(0, 3).join("\n");
  return html`<${heading} class="question">${head}…<//>
    <details><summary>The whole question</summary><pre class="plain">${text}</pre></details>`;
}

function Route({ job }) {
  const { route } = job;
  const isForced = Boolean(job.request.force_task_type);
  return html`<details class="route">
    <summary>
      <span class="kind kind-${route.task_type}">${KINDS[route.task_type]}</span>
      <span class="muted">${isForced ? "as you asked" : `routed with confidence ${route.confidence.toFixed(2)}`} – why?</span>
    </summary>
    <ul>
      ${route.reasons.map((reason, index) => html`<li key=${index}>${reason}</li>`)}
      ${route.reasons.length ? null : html`<li>Nothing in the prompt told mathematics from code: this is what such prompts get.</li>`}
      ${isForced || !route.probabilities ? null : html`<li>${chances(route)}</li>`}
      ${route.task_type === "hybrid" ? html`<li>Both models answer, ${job.request.strategy === "sequential" ? "the mathematics first, handed to the code model" : "at the same time"}.</li>` : null}
    </ul>
  </details>`;
}

const LABELS = { math: "mathematics", code: "code", hybrid: "both", other: "neither" };

function chances({ probabilities, version }) {
  const ordered = Object.entries(probabilities).sort(([, one], [, other]) => other - one);
  return `${version ?? "The router"} gives ${ordered.map(([label, chance]) => `${LABELS[label] ?? label} ${(100 * chance).toFixed(0)} %`).join(", ")}.`;
}

/** Where the two parts contradict each other, in the words of who composed them into one document. */
function disagreements({ answer }) {
  if (!(answer?.completions.length > 1)) return [];
  return (answer.response.match(/^> \*\*The two parts disagree.*$/gm) ?? []).map((line) => line.slice(2));
}

/** What is known of one model's part: its whole completion, why there is none, or its text so far. */
function part(following, model) {
  const { answer } = following.job;
  const completion = answer?.completions.find((each) => each.model === model);
  const failure = answer?.failures.find((each) => each.model === model);
  return { completion, failure, text: completion?.text ?? (failure?.text || following.texts[model] || "") };
}

function Part({ model, completion, failure, text, isPlain, isEnded }) {
  const isWriting = !isEnded && !completion && text;
  return html`<section class="part part-${model}" aria-label=${MODELS[model]}>
    <div class="row wrap part-head">
      <h3>${MODELS[model]}</h3>
      <span class="muted">${completion ? figures(completion) : isWriting ? "writing…" : ""}</span>
      <span class="spring"></span>
      ${text && isEnded ? html`<${CopyButton} text=${text} what="the text of ${MODELS[model]}" />` : null}
    </div>
    ${failure ? html`<p class="notice bad">${failure.message}</p>` : null}
    ${text ? (isPlain ? html`<pre class="plain">${text}</pre>` : html`<${Prose} text=${text} />`) : null}
    ${!text && completion ? html`<p class="muted">It wrote nothing.</p>` : null}
    ${!text && !isEnded ? html`<p class="muted waiting">Waiting for its turn…</p>` : null}
    ${completion?.version.includes("random") ? html`<p class="muted small">Random weights: this answer means nothing. It shows that everything works.</p>` : null}
  </section>`;
}

function figures({ version, completion_tokens: tokens, seconds, first_token_s: first, finish_reason: end }) {
  const rest = seconds - (first ?? 0);
  const pace = tokens > 1 && rest > 0 ? `${((tokens - 1) / rest).toFixed(0)} tokens/s` : null;
  return [version, `${count(tokens)} tokens`, pace, first == null ? null : `first after ${duration(first)}`, ENDS[end]].filter(Boolean).join(" · ");
}

function progress(job) {
  if (isFinal(job.status)) return `in ${lasted(job.created_at, job.finished_at)}`;
  if (job.cancel_requested_at) return "stopping…";
  return job.status === "queued" ? "waiting for a free slot…" : "answering…";
}
