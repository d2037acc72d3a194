// Files of prompts: uploaded, followed, and their answers fetched.
import { download, get, post } from "./api.js";
import { createRef, html } from "./html.js";
import { Ago, Bar, count, Empty, Failure, plural, Status } from "./parts.js";
import { Polling } from "./polling.js";
import { readPrompts } from "./prompts.js";

const ENDED = new Set(["completed", "failed", "cancelled", "expired"]);
const WINDOWS = { "24h": "a day", "6h": "6 hours", "1h": "an hour" };

export class BatchesView extends Polling {
  everyMs = 2000;
  file = createRef();
  state = { window: "24h", pages: 1 };

  async load() {
    const batches = [];
    let hasMore = true;
    for (let page = 0; hasMore && page < this.state.pages; page += 1) {
      const after = batches.length ? `&after=${batches.at(-1).id}` : "";
      const found = await get(`/v1/batches?limit=20${after}`);
      batches.push(...found.data);
      hasMore = found.has_more;
    }
    return { batches, hasMore };
  }

  async choose(file) {
    this.setState({ file: null, refused: null });
    if (!file) return;
    try {
      this.setState({ file: { name: file.name, ...(await readPrompts(file)) } });
    } catch (refused) {
      this.setState({ refused });
    }
  }

  async submit(event) {
    event.preventDefault();
    const { file, window } = this.state;
    this.setState({ isSending: true, refused: null });
    try {
      const form = new FormData();
      form.append("purpose", "batch");
      form.append("file", file.blob, file.name);
      const stored = await post("/v1/files", form);
      await post("/v1/batches", { input_file_id: stored.id, endpoint: file.endpoint, completion_window: window, metadata: { name: file.name.slice(0, 512) } });
      this.file.current.value = "";
      this.setState({ file: null });
      await this.refresh();
    } catch (refused) {
      this.setState({ refused });
    }
    this.setState({ isSending: false });
  }

  async act(action) {
    this.setState({ refused: null });
    try {
      await action();
    } catch (refused) {
      this.setState({ refused });
    }
  }

  render(_, { batches, hasMore, error, refused }) {
    return html`
      <h1>Batches</h1>
      ${this.form()}
      <${Failure} error=${refused ?? error} />
      ${batches && !batches.length ? html`<${Empty}>No batch yet. Choose a file above, or leave it to <code>mathcode batch run prompts.jsonl -o answers.jsonl</code>.<//>` : null}
      ${!batches && !error ? html`<p class="muted">Loading…</p>` : null}
      <div class="answers">${batches?.map((batch) => this.card(batch))}</div>
      ${hasMore ? html`<p><button type="button" onClick=${() => this.setState({ pages: this.state.pages + 1 }, () => this.refresh())}>Show older ones</button></p>` : null}
    `;
  }

  form() {
    const { file, window, isSending } = this.state;
    const drop = (event) => {
      event.preventDefault();
      this.choose(event.dataTransfer.files[0]);
    };
    return html`<form class="card drop" onSubmit=${(event) => this.submit(event)} onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>
      <p class="muted">One JSON object a line: <code>${'{"custom_id": "a", "prompt": "Solve 2x + 1 = 5"}'}</code>, or requests as OpenAI's batches have them. Drop a file here, or choose one.</p>
      <div class="row wrap">
        <label class="field">File of prompts<input type="file" ref=${this.file} accept=".jsonl,.ndjson,.json,application/jsonl" onChange=${(event) => this.choose(event.target.files[0])} /></label>
        <label class="field">Give up after<select value=${window} onChange=${(event) => this.setState({ window: event.target.value })}>${Object.entries(WINDOWS).map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}</select></label>
        <span class="spring"></span>
        <button class="primary" disabled=${!file || isSending}>${isSending ? "Uploading…" : file ? `Ask ${plural(file.lines, "prompt")}` : "Start"}</button>
      </div>
    </form>`;
  }

  card(batch) {
    const { total, completed, failed } = batch.request_counts;
    const name = batch.metadata?.name ?? batch.id;
    const stem = name.replace(/\.[^.]*$/, "");
    const isEnded = ENDED.has(batch.status);
    return html`<article class="card" key=${batch.id} aria-label=${name}>
      <div class="row wrap">
        <h2>${name}</h2><${Status} value=${batch.status} />
        <span class="muted"><${Ago} at=${batch.created_at} /></span>
        <span class="spring"></span>
        ${batch.output_file_id ? html`<button type="button" onClick=${() => this.act(() => download(`/v1/files/${batch.output_file_id}/content`, `${stem}.answers.jsonl`))}>Download answers</button>` : null}
        ${batch.error_file_id ? html`<button type="button" onClick=${() => this.act(() => download(`/v1/files/${batch.error_file_id}/content`, `${stem}.errors.jsonl`))}>Download errors</button>` : null}
        ${isEnded ? null : html`<button type="button" disabled=${batch.status === "cancelling"} onClick=${() => this.act(async () => (await post(`/v1/batches/${batch.id}/cancel`), this.refresh()))}>Cancel</button>`}
      </div>
      ${total ? html`<${Bar} value=${completed + failed} most=${total} label=${`Progress of ${name}`} />` : null}
      <p class="muted small">${total ? `${count(completed)} answered${failed ? `, ${count(failed)} not` : ""} of ${count(total)}` : isEnded ? "Nothing was asked" : "The lines are being checked"} · <code class="id">${batch.id}</code></p>
      ${batch.errors ? html`<details open><summary>${plural(batch.errors.data.length, "line")} not in order; nothing was asked</summary>
        <ul>${batch.errors.data.map((each, index) => html`<li key=${index}>${each.line ? `Line ${each.line}: ` : ""}${each.message}</li>`)}</ul></details>` : null}
    </article>`;
  }
}
