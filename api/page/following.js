// Follows one job: its text as it appears, and the job itself. Resumes where a connection broke.
import { ApiError, get, post, send } from "./api.js";

const FINAL = new Set(["succeeded", "failed", "dead", "cancelled", "expired"]);
const PAUSES_MS = [250, 500, 1000, 2000, 5000];

export const isFinal = (status) => FINAL.has(status);

export class Following {
  /** `job` as the server gave it, or only its id. */
  constructor(id, job = null) {
    this.id = id;
    this.job = job;
    this.texts = {}; // model -> text so far
    this.error = null;
    this.isLost = false;
    this.listeners = new Set();
    this.control = new AbortController();
    this.last = null;
    this.pending = false;
  }

  watch(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async start() {
    try {
      this.job ??= await get(`/v1/jobs/${this.id}`);
      this.changed();
      if (!isFinal(this.job.status)) await this.follow();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.error = error;
      this.changed();
    }
  }

  stop() {
    this.control.abort();
    this.listeners.clear();
  }

  async cancel() {
    this.job = await post(`/v1/jobs/${this.id}/cancel`);
    this.changed();
  }

  /** Until the job has ended; a broken connection is taken up again, whatever the server refuses is thrown. */
  async follow() {
    for (let failures = 0; !this.control.signal.aborted; failures += 1) {
      try {
        if (await this.read(() => (failures = 0))) return;
      } catch (error) {
        const isPassing = !(error instanceof ApiError) || error.status === 0 || error.status === 503;
        if (error.name === "AbortError" || !isPassing) throw error;
      }
      this.isLost = true;
      this.changed();
      await pause(PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)]);
    }
  }

  /** One connection; whether the job has ended. */
  async read(onData) {
    const headers = this.last ? { "Last-Event-ID": this.last } : {};
    const response = await send(`/v1/jobs/${this.id}/events`, { headers, signal: this.control.signal });
    let isDone = response.status === 204;
    if (!isDone) {
      for await (const event of parse(response.body)) {
        onData();
        this.isLost = false;
        this.take(event);
        if (event.event === "done") isDone = true;
      }
    }
    if (isDone) {
      this.job = await get(`/v1/jobs/${this.id}`);
      this.isLost = false;
      this.changed();
    }
    return isDone;
  }

  take({ event, id, data }) {
    this.last = id ?? this.last;
    const said = JSON.parse(data);
    if (event === "piece") {
      this.texts = { ...this.texts, [said.model]: (this.texts[said.model] ?? "") + said.text };
      if (this.job.status === "queued") this.job = { ...this.job, status: "running" };
    } else if (event === "restarted") {
      this.texts = { ...this.texts, [said.model]: "" };
    }
    this.changed();
  }

  /** Listeners hear of it once per frame, however many pieces came. */
  changed() {
    if (this.pending) return;
    this.pending = true;
    const tell = () => {
      this.pending = false;
      for (const listener of this.listeners) listener();
    };
    if (document.hidden) setTimeout(tell, 0);
    else requestAnimationFrame(tell);
  }
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The events of a stream of server-sent events, without comments. */
async function* parse(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = {};
      for (const line of block.split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
      }
      if (fields.event) yield fields;
    }
  }
}
