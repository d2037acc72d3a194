// The routes under /v1: one way to call them, one kind of error, and the key, which lives as long as the tab.

const KEY = "mathcode-key";
const listeners = new Set();
let isKeyWanted = false;

/** What the server refused, or that it did not answer: `status` is 0 then. */
export class ApiError extends Error {
  constructor(status, code, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  isWanted: () => isKeyWanted,
  set(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
    want(false);
  },
  /** Be called whenever the key changes or one is wanted; gives back how to stop that. */
  watch(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

function want(value) {
  isKeyWanted = value;
  for (const listener of listeners) listener();
}

/** The response, whatever its content. Throws ApiError; a 401 also has the page ask for a key. */
export async function send(path, { token = key.get(), headers = {}, ...options } = {}) {
  const auth = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...auth, ...headers }, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The server does not answer. Is it running?");
  }
  if (!response.ok) throw await refusal(response, token === key.get(), options.method === "POST");
  return response;
}

export const get = async (path, options) => (await send(path, options)).json();

export const post = async (path, body, options = {}) => {
  const content = body instanceof FormData ? {} : { "Content-Type": "application/json" };
  const sent = body instanceof FormData ? body : JSON.stringify(body ?? {});
  return (await send(path, { method: "POST", body: sent, headers: content, ...options })).json();
};

/** Save what `path` gives as a file called `name`. */
export async function download(path, name) {
  const url = URL.createObjectURL(await (await send(path)).blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function refusal(response, isOurKey, isWish) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // not ours: a proxy's page, for example
  }
  if (response.status === 401 && isOurKey && (isWish || !isKeyWanted)) want(true); // asked for once, and at every wish
  const after = Number(response.headers.get("Retry-After")) || 0;
  return new ApiError(response.status, error.code ?? "error", error.message ?? `HTTP ${response.status}`, after);
}
