// Markdown as models write it, as virtual nodes: no text of a model is ever parsed as HTML, its own tags are shown.
import { Code } from "./code.js";
import { Formula, mathExtensions } from "./formulas.js";
import { h, html } from "./html.js";
import { Marked } from "./vendor/marked.esm.js";

const LONGEST = 400_000; // characters; beyond, text is shown as it is
const DEEPEST = 40;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", "#39": "'" };

/** A star after a letter, a digit or a bracket is a product, as in 2*f(x)*(x - 1); models write these without $. */
const products = { emStrong: (source, masked, previous) => (source[0] === "*" && /[\w)\]}'’]/.test(previous) ? undefined : false) };

const marked = new Marked({ gfm: true, breaks: true, extensions: mathExtensions, tokenizer: products });

/** Shows `text`; what cannot be read as Markdown is shown as it is. */
export function Prose({ text }) {
  if (text.length > LONGEST) return html`<pre class="plain">${text}</pre>`;
  try {
    return html`<div class="prose">${blocks(marked.lexer(text), 0)}</div>`;
  } catch {
    return html`<pre class="plain">${text}</pre>`;
  }
}

const decode = (text) =>
  text.replace(/&(#x[0-9a-f]{1,6}|#\d{1,7}|[a-z]{2,6}|#39);/gi, (whole, name) => {
    if (name in ENTITIES) return ENTITIES[name];
    if (!name.startsWith("#")) return whole;
    const code = /^#x/i.test(name) ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
  });

function blocks(tokens, depth) {
  if (depth > DEEPEST) throw new RangeError("too deep");
  return tokens.map((token, index) => block(token, depth + 1, index));
}

function block(token, depth, key) {
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "code":
      return h(Code, { key, text: token.text, language: token.lang });
    case "heading": // below those of the page
      return h(`h${Math.min(6, token.depth + 3)}`, { key }, inline(token.tokens, depth));
    case "hr":
      return h("hr", { key });
    case "blockquote":
      return h("blockquote", { key }, blocks(token.tokens, depth));
    case "list":
      return list(token, depth, key);
    case "table":
      return table(token, depth, key);
    case "mathBlock":
      return h(Formula, { key, source: token.text, isDisplay: true });
    case "paragraph":
      return h("p", { key }, inline(token.tokens, depth));
    case "text":
      return token.tokens ? inline(token.tokens, depth) : decode(token.text);
    default: // HTML among it
      return h("p", { key }, token.raw);
  }
}

function list(token, depth, key) {
  const items = token.items.map((item, index) => {
    const box = item.task ? html`<input type="checkbox" disabled checked=${item.checked} aria-label="task" /> ` : null;
    const tokens = item.tokens.filter((inner) => inner.type !== "checkbox");
    return h("li", { key: index }, box, blocks(tokens, depth));
  });
  if (!token.ordered) return h("ul", { key }, items);
  return h("ol", { key, start: token.start === 1 ? undefined : token.start }, items);
}

function table(token, depth, key) {
  const cell = (tag) => (cell, index) =>
    h(tag, { key: index, class: cell.align ? `align-${cell.align}` : undefined }, inline(cell.tokens, depth));
  return html`<div class="scroll" tabindex="0" role="group" aria-label="table" key=${key}>
    <table>
      <thead><tr>${token.header.map(cell("th"))}</tr></thead>
      <tbody>${token.rows.map((row, index) => html`<tr key=${index}>${row.map(cell("td"))}</tr>`)}</tbody>
    </table>
  </div>`;
}

function inline(tokens, depth) {
  if (depth > DEEPEST) throw new RangeError("too deep");
  return tokens.map((token, key) => {
    switch (token.type) {
      case "strong":
      case "em":
      case "del":
        return h(token.type, { key }, inline(token.tokens, depth + 1));
      case "codespan":
        return h("code", { key }, token.text);
      case "br":
        return [h("br", { key }), "\n"];
      case "link":
        return link(token.href, inline(token.tokens, depth + 1), key);
      case "image": // never loaded: it would tell another host who reads this
        return link(token.href, `image: ${token.text || token.href}`, key);
      case "mathInline":
        return h(Formula, { key, source: token.text, isDisplay: token.isDisplay });
      case "html":
      case "checkbox":
        return token.raw;
      case "escape":
        return token.text;
      default:
        return token.tokens ? inline(token.tokens, depth + 1) : decode(token.text ?? token.raw);
    }
  });
}

/** Only to the web and to mail, and always to where it says. */
function link(href, children, key) {
  let url;
  try {
    url = new URL(href);
  } catch {
    url = null;
  }
  if (!url || !["http:", "https:", "mailto:"].includes(url.protocol)) return h("span", { key }, children);
  const safe = { href: url.href, title: url.href, target: "_blank", rel: "noopener noreferrer nofollow" };
  return h("a", { key, ...safe }, children);
}
