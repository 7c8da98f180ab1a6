// Test connection: each row appears as it finishes.

import { ask } from "./api.js";
import { el, note, reason } from "./build.js";

const SIGNS = { ok: "✓", warn: "!", fail: "✗", skipped: "–" };
const ALL = 11;

/** Builds the panel and begins the first test. */
export function checkPanel(panel, connection) {
  const status = el("p", { class: "status", role: "status" });
  const again = el("button", { type: "button", class: "small", onclick: () => run() }, "Test again");
  const rows = el("tbody");
  const table = el("table", { class: "rows" },
    el("caption", { class: "hidden" }, `Test of ${connection.name}`),
    el("thead", { class: "hidden" }, el("tr", {}, ...["State", "Check", "Finding"].map((name) => el("th", { scope: "col" }, name)))),
    rows);
  panel.append(el("div", { class: "bar" }, status, again), table);

  const run = async () => {
    const seen = [];
    rows.replaceChildren();
    again.disabled = true;
    panel.dataset.state = "running";
    panel.setAttribute("aria-busy", "true");
    status.className = "status";
    status.textContent = "Testing…";
    try {
      const options = { method: "POST", headers: { Accept: "application/x-ndjson" } };
      const answer = await ask(`/api/v1/connections/${connection.name}/check`, options);
      for await (const row of lines(answer.body)) {
        seen.push(row);
        rows.append(shown(row));
        status.textContent = `Testing… ${seen.length} of ${ALL}`;
      }
      const worst = tell(status, seen);
      panel.dataset.state = worst;
    } catch (error) {
      status.className = "status bad";
      status.textContent = `The test ended early: ${reason(error)}`;
      panel.dataset.state = "broken";
    }
    panel.removeAttribute("aria-busy");
    again.disabled = false;
  };
  run();
}

/** The objects of a stream of JSON lines. */
async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

function tell(status, rows) {
  const count = (state) => rows.filter((row) => row.state === state).length;
  const [bad, warned, skipped] = [count("fail"), count("warn"), count("skipped")];
  const rest = skipped ? `, ${skipped} skipped` : "";
  if (bad) {
    status.className = "status bad";
    status.textContent = `✗ ${bad} of ${rows.length} failed${rest}`;
    return "fail";
  }
  status.className = warned ? "status warn" : "status good";
  status.textContent = warned ? `! Works, with ${warned} to look at${rest}` : `✓ Everything works${rest}`;
  return warned ? "warn" : "ok";
}

function shown({ state, check, name, finding, diagnosis }) {
  const cell = el("td", { class: "finding" }, finding);
  if (diagnosis) {
    cell.append(note(state === "fail" ? "bad" : "warn", el("strong", {}, "Cause: "), diagnosis.cause));
    if (diagnosis.remedy.length) cell.append(el("ol", { class: "remedy" }, ...diagnosis.remedy.map((step) => el("li", {}, step))));
    for (const command of diagnosis.commands ?? []) cell.append(commandLine(command));
  }
  const row = el("tr", { class: state, "data-check": check, "data-state": state });
  row.append(
    el("td", { class: "state" }, el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[state] ?? "?"), el("span", { class: "word" }, state)),
    el("th", { scope: "row" }, name),
    cell);
  return row;
}

function commandLine(text) {
  const copy = el("button", { type: "button", class: "small", "aria-label": `Copy: ${text}` }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Select and copy";
    }
  });
  return el("div", { class: "command" }, el("code", { tabIndex: 0 }, text), copy);
}
