// Templates: `html` makes virtual nodes, so text is always text. Nothing in this page writes HTML.
import htm from "./vendor/htm.module.js";
import { h } from "./vendor/preact.mjs";

export { Component, createRef, h, render } from "./vendor/preact.mjs";
export const html = htm.bind(h);
