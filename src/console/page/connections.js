// One card a connection, with its test, its preview and its manifest.

import { el } from "./build.js";
import { checkPanel } from "./check.js";
import { manifestPanel } from "./manifest.js";
import { previewPanel } from "./preview.js";

const DEMANDS = {
  network: "allowed clients only",
  link: "whoever has a link",
  "network-and-link": "allowed clients that have a link",
  "network-or-link": "allowed clients, and whoever has a link",
};
const DELIVERIES = {
  auto: "proxy or signed URL, decided per request",
  proxy: "bytes stream through the gateway",
  "signed-url": "redirects to signed URLs",
};

/** A connection's card. */
export function card(connection, overview) {
  const { name, title, description, uri, delivery, access, demand, credentials } = connection;
  const heading = el("h3", { id: `title-${name}` }, title ?? name);
  const parts = [
    ["Test connection", "check", checkPanel],
    ["Preview", "preview", previewPanel],
    ["Manifest", "manifest", manifestPanel],
  ];
  const panels = parts.map(([label, kind, build]) => {
    const id = `${kind}-${name}`;
    const panel = el("div", { id, class: "panel", hidden: true, role: "region", "aria-label": `${label}: ${name}` });
    return { label, id, panel, build, built: false };
  });
  const buttons = panels.map((part) => {
    const first = part === panels[0];
    const properties = { type: "button", class: first ? "primary" : "", "aria-expanded": "false", "aria-controls": part.id };
    const button = el("button", properties, part.label);
    button.addEventListener("click", () => toggle(part, button, connection, overview));
    return button;
  });
  return el("article", { class: "card", id: `card-${name}`, "aria-labelledby": heading.id },
    el("div", { class: "head" }, heading, title ? el("code", { class: "name" }, name) : null),
    description ? el("p", { class: "about" }, description) : null,
    el("dl", { class: "facts" },
      fact("URI", el("code", {}, uri)),
      fact("Delivery", `${delivery}: ${DELIVERIES[delivery]}`),
      fact("Credentials", credentials),
      fact("Open to", access === "anyone" ? "anyone" : DEMANDS[demand])),
    el("div", { class: "actions", role: "group", "aria-label": title ?? name }, ...buttons),
    ...panels.map((part) => part.panel));
}

function fact(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

/** Opens a panel, and builds it the first time; the next click closes it. */
function toggle(part, button, connection, overview) {
  const show = part.panel.hidden;
  part.panel.hidden = !show;
  button.setAttribute("aria-expanded", String(show));
  if (show && !part.built) {
    part.built = true;
    part.build(part.panel, connection, overview);
  }
}
