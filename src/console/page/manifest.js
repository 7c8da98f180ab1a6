// Manifest: a form that makes what an annotation tool imports, and downloads it.

import { ask } from "./api.js";
import { bytes, el, reason } from "./build.js";

const FORMATS = [
  ["label-studio", "Label Studio (JSON)", "json"],
  ["jsonl", "JSON lines", "jsonl"],
  ["csv", "CSV", "csv"],
  ["labelbox", "Labelbox", "json"],
  ["cvat", "CVAT manifest.jsonl", "jsonl"],
  ["txt", "One URL a line", "txt"],
];
const TYPES = [["", "any"], ["image", "images"], ["video", "video"], ["audio", "audio"], ["document", "documents"], ["text", "text"]];
const IMPORTS = [["files", "each object is a task"], ["json", "objects define tasks"]];

/** Builds the form. */
export function manifestPanel(panel, connection, overview) {
  const { name } = connection;
  const field = (key, label, control, hint) => {
    control.id = `${key}-${name}`;
    control.name = key;
    const help = hint ? el("small", { id: `${control.id}-hint` }, hint) : null;
    if (help) control.setAttribute("aria-describedby", help.id);
    return el("div", { class: "field" }, el("label", { for: control.id }, label), control, help);
  };
  const choice = (options) => el("select", {}, ...options.map(([value, label]) => el("option", { value }, label)));
  const tick = (key, label) => el("label", { class: "check" }, el("input", { type: "checkbox", name: key, value: "true" }), label);
  const url = el("input", { type: "url", value: overview.gateway.url, required: true });
  const form = el("form", { class: "form" },
    field("format", "Format", choice(FORMATS)),
    field("import", "Objects", choice(IMPORTS)),
    field("data_type", "Kind of data", choice(TYPES)),
    field("data_key", "Fields for the URL", el("input", { placeholder: "as usual", spellcheck: false }), "One or more names; several with spaces between."),
    field("since", "Newer than", el("input", { placeholder: "2026-01-31T12:00:00Z", spellcheck: false }), "A time or a date; empty for all."),
    overview.gateway.configured ? null : field("public_url", "Gateway's URL", url, "server.public_url is not set; the manifest's URLs begin with this."),
    connection.links ? field("expires", "Links end after", el("input", { value: "30days", spellcheck: false }), "How long they work, such as 12h.") : null,
    connection.links ? field("subject", "Links are for", el("input", { placeholder: "anyone who has the manifest", spellcheck: false }), "A name for the audit log and for revocation.") : null,
    connection.links ? tick("link", " put a link into each URL") : null,
    tick("gs_uri", " keep gs:// URIs"));
  const submit = el("button", { type: "submit", class: "primary" }, "Download");
  const cancel = el("button", { type: "button", hidden: true }, "Cancel");
  const status = el("p", { class: "status", role: "status" });
  const line = el("code", { class: "same", tabIndex: 0 });
  form.append(el("div", { class: "bar" }, submit, cancel, status), el("p", { class: "soft wide" }, "The same on the command line: ", line));
  const show = () => { line.textContent = commandLine(name, query(form)); };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    download(form, { name, submit, cancel, status, panel });
  });
  panel.append(form);
  show();
}

/** The parameters that differ from what is usual. */
function query(form) {
  const asked = new URLSearchParams();
  for (const [key, value] of new FormData(form)) {
    const text = value.trim();
    if (!text || (key === "import" && text === "files")) continue;
    if (key === "public_url" && form.elements.gs_uri.checked) continue;
    if (["expires", "subject"].includes(key) && !form.elements.link.checked) continue;
    if (key === "data_key") text.split(/\s+/).forEach((one) => asked.append(key, one));
    else asked.append(key, text);
  }
  return asked;
}

function commandLine(name, asked) {
  const flags = [...asked].map(([key, value]) => {
    const flag = `--${key.replaceAll("_", "-")}`;
    return ["gs_uri", "link"].includes(key) ? flag : `${flag} ${/^[\w.:/-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`}`;
  });
  return ["gsgate tasks", name, ...flags].join(" ");
}

async function download(form, { name, submit, cancel, status, panel }) {
  const stop = new AbortController();
  cancel.onclick = () => stop.abort();
  submit.disabled = true;
  cancel.hidden = false;
  status.className = "status";
  status.textContent = "Listing…";
  panel.dataset.state = "running";
  try {
    const answer = await ask(`/api/v1/connections/${name}/tasks?${query(form)}`, { signal: stop.signal });
    const pieces = [];
    let received = 0;
    for (const reader = answer.body.getReader(); ;) {
      const { value, done } = await reader.read();
      if (done) break;
      pieces.push(value);
      received += value.length;
      status.textContent = `${bytes(received)} so far…`;
    }
    const [, , extension] = FORMATS.find(([format]) => format === form.elements.format.value);
    save(new Blob(pieces, { type: "application/octet-stream" }), `${name}.${extension}`);
    status.className = "status good";
    status.textContent = `✓ ${name}.${extension}, ${bytes(received)}`;
    panel.dataset.state = "done";
  } catch (error) {
    const cancelled = error.name === "AbortError";
    status.className = cancelled ? "status" : "status bad";
    status.textContent = cancelled ? "Cancelled." : `No manifest: ${reason(error)}`;
    panel.dataset.state = "broken";
  }
  submit.disabled = false;
  cancel.hidden = true;
}

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
