// Mathematics: where it stands in a text, and Temml's MathML of it as virtual nodes, checked name by name.
import { Component, h, html } from "./html.js";

const LONGEST = 20_000;
const OPTIONS = { throwOnError: true, trust: false, strict: false, maxExpand: 500, maxSize: [40, 200] };
const ELEMENTS = new Set(
  ("math semantics mrow mi mn mo ms mtext mspace msqrt mroot mfrac msub msup msubsup munder mover munderover " +
    "mmultiscripts mprescripts none mtable mtr mtd mstyle mpadded mphantom menclose merror mlabeledtr").split(" "),
);
const UNSAFE = /^on|href|src|^(id|style|class)$/i;

/** `$$..$$` and `\[..\]` on their own, `$..$` and `\(..\)` in a line; a price in dollars is none. */
export const mathExtensions = [
  {
    name: "mathBlock",
    level: "block",
    start: (source) => position(source, /(?:^|\n) {0,3}(?:\$\$|\\\[|\\begin\{)/),
    tokenizer: tokenizeBlock,
  },
  {
    name: "mathInline",
    level: "inline",
    start: (source) => position(source, /\$|\\\(|\\\[/),
    tokenizer: tokenizeInline,
  },
];

function position(source, pattern) {
  const index = source.search(pattern);
  return index < 0 ? undefined : index;
}

function tokenizeBlock(source) {
  const match =
    /^ {0,3}\$\$([\s\S]{1,20000}?)\$\$[ \t]*(?:\n|$)/.exec(source) ??
    /^ {0,3}\\\[([\s\S]{1,20000}?)\\\][ \t]*(?:\n|$)/.exec(source);
  if (match) return { type: "mathBlock", raw: match[0], text: match[1].trim() };
  const names = "(?:equation|align|aligned|gather|multline|cases|[pbvBV]?matrix)\\*?";
  const bare = new RegExp(`^ {0,3}(\\\\begin\\{(${names})\\}[\\s\\S]{1,20000}?\\\\end\\{\\2\\})[ \\t]*(?:\\n|$)`).exec(source);
  return bare ? { type: "mathBlock", raw: bare[0], text: bare[1] } : undefined;
}

function tokenizeInline(source) {
  const display = /^\$\$([^$]{1,2000}?)\$\$/.exec(source) ?? /^\\\[([\s\S]{1,2000}?)\\\]/.exec(source);
  if (display) return { type: "mathInline", raw: display[0], text: display[1].trim(), isDisplay: true };
  const match =
    /^\\\(([\s\S]{1,2000}?)\\\)/.exec(source) ??
    /^\$(?![\s$])((?:\\[^\n]|[^$\\\n]){1,1000}?)(?<![\s\\])\$(?![\d$])/.exec(source);
  return match ? { type: "mathInline", raw: match[0], text: match[1].trim(), isDisplay: false } : undefined;
}

/** One formula; its source until Temml is there, or where Temml cannot read it. */
export class Formula extends Component {
  componentDidMount() {
    if (!window.temml) {
      this.script = document.querySelector("script[src$='temml.min.js']");
      this.onLoad = () => this.forceUpdate();
      this.script?.addEventListener("load", this.onLoad);
    }
  }

  componentWillUnmount() {
    this.script?.removeEventListener("load", this.onLoad);
  }

  shouldComponentUpdate(next) {
    return next.source !== this.props.source;
  }

  render({ source, isDisplay }) {
    const math = translate(source, isDisplay);
    if (!math) return html`<code class=${isDisplay ? "tex display" : "tex"}>${source}</code>`;
    if (!isDisplay) return html`<span class="formula">${math}</span>`;
    return html`<div class="formula display" tabindex="0" role="group" aria-label="formula">${math}</div>`;
  }
}

function translate(source, isDisplay) {
  if (!window.temml || source.length > LONGEST) return null;
  try {
    return node(window.temml.__renderToMathMLTree(source, { ...OPTIONS, displayMode: isDisplay }), 0);
  } catch {
    return null; // half written, or not what it seemed
  }
}

function node(tree, depth) {
  if (depth > 200) throw new RangeError("too deep");
  if (tree.text !== undefined && !tree.type) return tree.text;
  const children = (tree.children ?? []).map((child) => node(child, depth + 1));
  if (!tree.type) return children; // a fragment
  if (!ELEMENTS.has(tree.type)) throw new TypeError(`not of MathML: ${tree.type}`);
  const attributes = Object.entries(tree.attributes ?? {}).filter(([name]) => !UNSAFE.test(name));
  const classes = (tree.classes ?? []).filter(Boolean).join(" ");
  return h(tree.type, { ...Object.fromEntries(attributes), class: classes || undefined, style: { ...tree.style } }, children);
}
