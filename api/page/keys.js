// The key that requests carry: kept as long as this tab, sent to nobody but this server.
import { key } from "./api.js";
import { Component, html } from "./html.js";
import { Dialog } from "./parts.js";

export class KeyDialog extends Component {
  submit(event) {
    event.preventDefault();
    key.set(new FormData(event.target).get("key").trim());
    this.props.onClose();
  }

  render({ onClose }) {
    const present = key.get();
    return html`<${Dialog} title="API key" onClose=${onClose}>
      <form onSubmit=${(event) => this.submit(event)}>
        <p class="muted">
          ${key.isWanted() ? (present ? "The server refused the key that is set. " : "This server answers only to who shows a key. ") : ""}
          It stays in this tab until the tab is closed. <code>mathcode keys create NAME</code> makes one.
        </p>
        <label class="field">Key
          <input name="key" type="password" autocomplete="off" spellcheck=${false} placeholder="mk_…" required autofocus />
        </label>
        <div class="row end">
          ${present ? html`<button type="button" onClick=${() => (key.set(null), onClose())}>Forget it</button>` : null}
          <button type="button" onClick=${onClose}>Close</button>
          <button class="primary">Use it</button>
        </div>
      </form>
    <//>`;
  }
}
