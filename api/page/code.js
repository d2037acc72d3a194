// A block of code with its language and a button to copy it; comments, strings, numbers and keywords are set apart.
import { CopyButton } from "./parts.js";
import { h, html } from "./html.js";

const LONGEST = 60_000;
const COMMENTS = {
  hash: String.raw`#[^\n]*`,
  slash: String.raw`\/\/[^\n]*|\/\*[\s\S]*?\*\/`,
  dash: String.raw`--[^\n]*`,
  percent: String.raw`%[^\n]*`,
};
const FAMILIES = {
  hash: "python py bash sh shell zsh ruby rb r yaml yml toml julia jl perl elixir dockerfile makefile",
  slash: "c h cpp c++ cc cuda js javascript mjs jsx ts typescript tsx java go rust rs swift kotlin cs csharp php scala dart zig json",
  dash: "sql haskell hs lua ada vhdl",
  percent: "latex tex matlab octave erlang prolog",
};
const KEYWORDS = new Set(
  ("False None True and as assert async await break case catch class const continue def default del delete do elif " +
    "else end enum except export extends extern false finally fn for from func function global go if impl implements " +
    "import in interface is lambda let local loop match mod module mut namespace new nil not null of or override package " +
    "pass private protected pub public raise return self static struct super switch template then this throw throws " +
    "trait true try type typedef typename union unless unsafe until use using var virtual void where while with yield " +
    "int float double bool char str string long short unsigned signed usize u8 u32 u64 i32 i64 f32 f64 " +
    "SELECT FROM WHERE GROUP BY ORDER INSERT INTO VALUES UPDATE SET DELETE JOIN ON AS CREATE TABLE AND OR NOT NULL").split(" "),
);
const REST = String.raw`("""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\`(?:\\.|[^\`\\])*\`)|\b(\d[\w.]*)\b|([A-Za-z_]\w*)`;
const patterns = new Map();

export function Code({ text, language = "" }) {
  const name = language.trim().split(/[\s{]/)[0].slice(0, 24);
  return html`<figure class="code">
    <figcaption><span>${name || "text"}</span><${CopyButton} text=${text} what="code" /></figcaption>
    <pre tabindex="0"><code>${coloured(text, name.toLowerCase())}</code></pre>
  </figure>`;
}

function coloured(text, language) {
  const pattern = patternFor(language);
  if (!pattern || text.length > LONGEST) return text;
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    const kind = kindOf(match);
    if (!kind) continue;
    parts.push(text.slice(end, match.index), h("span", { class: `tok-${kind}` }, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

function kindOf([, comment, string, number, word]) {
  if (comment !== undefined) return "comment";
  if (string !== undefined) return "string";
  if (number !== undefined) return "number";
  return KEYWORDS.has(word) ? "keyword" : null;
}

function patternFor(language) {
  if (!patterns.has(language)) {
    const family = Object.keys(FAMILIES).find((name) => FAMILIES[name].split(" ").includes(language));
    patterns.set(language, family ? new RegExp(`(${COMMENTS[family]})|${REST}`, "g") : null);
  }
  return patterns.get(language);
}
