// Preview: a gallery of what the connection serves, through the gateway, with how each object is delivered and why.

import { get } from "./api.js";
import { bytes, el, note, reason } from "./build.js";

const KINDS = [["", "All kinds"], ["image", "Images"], ["video", "Video"], ["audio", "Audio"], ["text", "Text"], ["document", "Documents"]];
const REASONS = {
  configured: "the connection says so",
  "cannot-sign": "the credential cannot sign",
  cors: "a script asks",
  restricted: "the connection is not open to anyone",
  large: "as large as redirect_above, or larger",
  small: "smaller than redirect_above",
};
/** Bytes of a text that are shown. */
const SHOWN = 1500;

/** Builds the panel and shows the first page. */
export function previewPanel(panel, connection, overview) {
  const kind = el("select", { id: `kind-${connection.name}` }, ...KINDS.map(([value, label]) => el("option", { value }, label)));
  const status = el("p", { class: "status", role: "status" });
  const gallery = el("ul", { class: "gallery" });
  const more = el("button", { type: "button", hidden: true, onclick: () => load() }, "More");
  panel.append(
    el("div", { class: "bar" }, el("label", { for: kind.id, class: "inline" }, "Show "), kind, status),
    ...notes(connection, overview), gallery, more);
  let cursor = null;
  let turn = 0;

  const load = async () => {
    const mine = turn;
    more.disabled = true;
    status.textContent = "Listing…";
    try {
      const query = new URLSearchParams({ limit: "24" });
      if (cursor) query.set("cursor", cursor);
      if (kind.value) query.set("data_type", kind.value);
      const page = await get(`/api/v1/connections/${connection.name}/preview?${query}`);
      if (mine !== turn) return;
      gallery.append(...page.objects.map((object) => item(object, connection, overview)));
      for (const { name, why } of page.unservable) gallery.before(note("warn", el("code", {}, JSON.stringify(name)), ` cannot be served: ${why}`));
      cursor = page.next;
      more.hidden = cursor === null;
      const count = gallery.children.length;
      status.textContent = `${count} ${count === 1 ? "object" : "objects"}${cursor ? ", and more" : ""}`;
    } catch (error) {
      status.textContent = reason(error);
    }
    more.disabled = false;
  };
  kind.addEventListener("change", () => {
    turn += 1;
    cursor = null;
    gallery.replaceChildren();
    load();
  });
  load();
}

/** What stands in the way, said before anything fails. */
function notes({ admitted, readable, demand, links }, { client }) {
  const said = [];
  if (demand !== "network" && !links) {
    said.push(note("warn", "This connection looks for links, and this page has none: they are given out only where ", el("code", {}, "admin.token_file"),
      " and ", el("code", {}, "links.keys"), " are set. Those who have a link see what may be missing here."));
  } else if (!admitted) {
    said.push(note("warn", "The connection does not admit ", el("code", {}, client),
      ", which is where this page is seen from. To you the gateway answers as if nothing were there, so nothing may be shown here; those who are admitted see it."));
  }
  if (!readable) {
    said.push(note("soft", "CORS: ", el("code", {}, location.origin),
      " is not among the connection's origins. Pictures, sound and video are shown all the same; text cannot be read by this page."));
  }
  return said;
}

function item(object, connection, overview) {
  const stage = el("div", { class: `stage ${object.kind}` });
  const link = el("a", { href: object.url, target: "_blank", rel: "noreferrer noopener", class: "open" }, object.name);
  const figure = el("figure", { "data-kind": object.kind, "data-name": object.name },
    stage,
    el("figcaption", {}, link,
      el("span", { class: "soft" }, `${bytes(object.size)} · ${object.content_type}`),
      delivered("", object.delivery),
      object.delivery.by === object.delivery_to_scripts.by ? null : delivered("to scripts ", object.delivery_to_scripts)));
  fill(stage, figure, object, connection, overview);
  return el("li", {}, figure);
}

function delivered(before, { by, reason: why }) {
  return el("span", { class: "delivery" }, before, el("span", { class: `chip ${by}` }, by), ` ${REASONS[why] ?? why}`);
}

/** Puts the object itself into the frame. */
function fill(stage, figure, object, connection, overview) {
  const done = (state) => { figure.dataset.state = state; };
  const failed = async () => {
    done("failed");
    stage.replaceChildren(note("bad", await why(object, connection, overview)));
  };
  const { kind, url, name, size } = object;
  if (kind === "image") {
    stage.append(el("img", { alt: name, loading: "lazy", decoding: "async", onload: () => done("shown"), onerror: failed, src: url }));
  } else if (kind === "video" || kind === "audio") {
    const player = el(kind, { controls: true, preload: "metadata", "aria-label": name, onloadedmetadata: () => done("shown"), onerror: failed });
    if (kind === "video") player.playsInline = true;
    // A frame is shown only where a time is named.
    player.src = kind === "video" ? `${url}#t=0.1` : url;
    stage.append(player);
  } else if (kind === "text" && connection.readable) {
    text(url).then((shown) => {
      stage.append(el("pre", { tabIndex: 0, "aria-label": name }, shown));
      done("shown");
    }, failed);
  } else {
    stage.append(el("p", { class: "soft" }, kind === "text" ? "Not readable by this page (CORS)." : size === 0 ? "Empty." : "No preview of this kind."));
    done("none");
  }
}

/** The beginning of a text. */
async function text(url) {
  const answer = await fetch(url, { headers: { Range: `bytes=0-${SHOWN - 1}` }, cache: "no-store" });
  // An empty object has no part that could be asked for.
  if (answer.status === 416) return "";
  if (!answer.ok) throw new Error(String(answer.status));
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let shown = "";
  while (shown.length < SHOWN) {
    const { value, done } = await reader.read();
    if (done) return shown;
    shown += decoder.decode(value, { stream: true });
  }
  reader.cancel();
  return `${shown.slice(0, SHOWN)}…`;
}

/** Why an object cannot be shown, as far as a browser lets a page know. */
async function why(object, { admitted, readable }, { gateway, client }) {
  const stop = new AbortController();
  try {
    const answer = await fetch(object.url, { mode: readable ? "cors" : "no-cors", cache: "no-store", signal: stop.signal });
    if (!readable) {
      return admitted
        ? "The gateway answers, but not with something that this browser can show. CORS keeps the reason from this page; open it by its name."
        : `The gateway answers, but does not admit ${client}.`;
    }
    if (answer.ok) return `This browser cannot show ${object.content_type}.`;
    const { error } = await answer.json();
    return `The gateway answers ${answer.status} (${error.code}): ${error.message}.`;
  } catch {
    return `Nothing can be had from ${new URL(gateway.url).origin}: this browser does not reach it, or is redirected to where it may not read.`;
  } finally {
    stop.abort();
  }
}
