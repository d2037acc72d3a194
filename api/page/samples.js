// What queues and engines were like while this page was open: a sample every few seconds, for the fleet's curves.

const EVERY_MS = 5000;
const KEPT = 360; // half an hour

class Sampler {
  samples = [];
  listeners = new Set();

  /** `askQueues` and `askStatus` give what /v1/queues and /v1/status say; nothing is asked while `isPaused`. */
  start(askQueues, askStatus, isPaused) {
    const sample = async () => {
      if (!document.hidden && !isPaused()) {
        try {
          const [queues, status] = await Promise.all([askQueues(), askStatus()]);
          this.add(queues.data, status);
        } catch {
          // a gap in the curve; the views say what is wrong
        }
      }
      setTimeout(sample, EVERY_MS);
    };
    sample();
  }

  add(queues, status) {
    this.samples = [...this.samples.slice(1 - KEPT), { at: Date.now(), queues, status }];
    for (const listener of this.listeners) listener();
  }

  get last() {
    return this.samples.at(-1) ?? null;
  }

  watch(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

export const sampler = new Sampler();
