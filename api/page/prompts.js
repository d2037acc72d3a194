// A file of prompts as the server reads it: short lines become requests as OpenAI has them.

const CHAT = "/v1/chat/completions";

/** `{blob, lines, endpoint}` to upload. Throws an Error that names the first line that is not in order. */
export async function readPrompts(file) {
  const sent = [];
  let endpoint = null;
  let lines = 0;
  for (const [index, line] of (await file.text()).split("\n").entries()) {
    if (!line.trim()) {
      sent.push("");
      continue;
    }
    const request = parse(line, index + 1);
    endpoint ??= request.url ?? CHAT;
    lines += 1;
    sent.push(JSON.stringify(request));
  }
  if (!lines) throw new Error("The file has no line: write one JSON object a line, such as {\"custom_id\": \"a\", \"prompt\": \"Solve 2x + 1 = 5\"}.");
  return { blob: new Blob([sent.join("\n"), "\n"], { type: "application/jsonl" }), lines, endpoint };
}

function parse(line, number) {
  let given;
  try {
    given = JSON.parse(line);
  } catch {
    throw new Error(`Line ${number} is no JSON: write one JSON object a line.`);
  }
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw new Error(`Line ${number} is no JSON object: write one object a line.`);
  const isShort = "prompt" in given && !["body", "url", "method"].some((name) => name in given);
  return isShort ? lengthen(given) : given;
}

/** A short line, with the fields of POST /v1/jobs. */
function lengthen({ custom_id, prompt, logprobs, ...fields }) {
  const scored = logprobs == null ? {} : { logprobs: true, top_logprobs: logprobs };
  const body = { model: "mathcode", messages: [{ role: "user", content: prompt }], temperature: 0, ...fields, ...scored };
  return { custom_id, method: "POST", url: CHAT, body };
}
