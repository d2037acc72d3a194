// Versions of the code model: their scores, and which one serves. To change that takes an operator's key, each time.
import { post } from "./api.js";
import { Component, html } from "./html.js";
import { Ago, Dialog, Failure, Status } from "./parts.js";

export class Versions extends Component {
  render({ versions, onChange }, { wish }) {
    const ask = (path, title, effect) => this.setState({ wish: { path, title, effect } });
    const close = () => this.setState({ wish: null });
    return html`<section class="card" aria-labelledby="versions-title">
      <div class="row wrap"><h2 id="versions-title">Versions</h2><span class="spring"></span>
        ${versions.serving ? html`<button type="button" onClick=${() => ask("/v1/versions/rollback", "Roll back", `${versions.serving} is taken out of service; its parent serves again, or the base model.`)}>Roll back</button>` : null}</div>
      ${versions.data.length ? this.table(versions.data, ask) : html`<p class="muted">No version yet: the base model serves.</p>`}
      ${wish ? html`<${OperatorDialog} ...${wish} onClose=${close} onDone=${() => (close(), onChange())} />` : null}
    </section>`;
  }

  table(versions, ask) {
    return html`<table class="list">
      <thead><tr><th>Version</th><th>Status</th><th class="end">Held-out loss</th><th class="end">Functions</th><th>From</th><th>Made</th><th><span class="hidden">Do</span></th></tr></thead>
      <tbody>${versions.map((version) => html`<tr key=${version.name}>
        <td data-label="Version"><b>${version.name}</b></td>
        <td><${Status} value=${version.status} />${version.alarm ? html`<p class="bad small">${version.alarm}</p>` : null}</td>
        <td class="end" data-label="Held-out loss">${figure(version.scores)}</td>
        <td class="end" data-label="Functions">${version.scores.tasks ? `${version.scores.candidate?.passed ?? 0} of ${version.scores.tasks}` : "–"}</td>
        <td data-label="From">${version.parent ?? "base model"}${version.run ? html`, <a href=${`#/training/${version.run}`}>run ${version.run}</a>` : null}</td>
        <td data-label="Made"><${Ago} at=${version.created_at} /></td>
        <td class="end">${["candidate", "retired"].includes(version.status) ? html`<button type="button" class="quiet" onClick=${() => ask(`/v1/versions/${version.number}/promote`, `Promote ${version.name}`, `${version.name} answers everybody's questions of code from now on.`)}>Promote<span class="hidden"> ${version.name}</span></button>` : null}</td>
      </tr>`)}</tbody>
    </table>`;
  }
}

function figure(scores) {
  const now = scores.candidate?.losses?.heldout;
  const before = scores.serving?.losses?.heldout;
  if (!Number.isFinite(now)) return "–";
  return Number.isFinite(before) ? `${before.toFixed(3)} → ${now.toFixed(3)}` : now.toFixed(3);
}

class OperatorDialog extends Component {
  async submit(event) {
    event.preventDefault();
    const token = new FormData(event.target).get("key").trim();
    this.setState({ isSending: true, error: null });
    try {
      await post(this.props.path, {}, { token });
      this.props.onDone();
    } catch (error) {
      this.setState({ error, isSending: false });
    }
  }

  render({ title, effect, onClose }, { error, isSending }) {
    return html`<${Dialog} title=${title} onClose=${onClose}>
      <form onSubmit=${(event) => this.submit(event)}>
        <p>${effect} Running workers switch within seconds, what they are writing ends on the version it began with.</p>
        <label class="field">Operator's key<input name="key" type="password" autocomplete="off" spellcheck=${false} placeholder="mk_…" required autofocus /></label>
        <p class="muted small">It is used for this and then forgotten. <code>mathcode keys create NAME --operator</code> makes one.</p>
        <${Failure} error=${error} />
        <div class="row end"><button type="button" onClick=${onClose}>Leave it</button><button class="primary" disabled=${isSending}>${title}</button></div>
      </form>
    <//>`;
  }
}
