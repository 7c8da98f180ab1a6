// The operator's page: puts its parts together.

import { ask, get } from "./api.js";
import { reason } from "./build.js";
import { card } from "./connections.js";
import { showFigures } from "./figures.js";

const place = (id) => document.getElementById(id);

showReady();
setInterval(showReady, 10_000);
showFigures(place("tiles"));
place("config").addEventListener("toggle", showConfiguration);
showConnections();

async function showConnections() {
  try {
    const overview = await get("/api/v1/connections");
    place("version").textContent = overview.version;
    const { url, configured } = overview.gateway;
    place("gateway").textContent = configured
      ? `Served at ${url}.`
      : `Served at ${url}, as seen from here; server.public_url is not set.`;
    place("cards").replaceChildren(...overview.connections.map((connection) => card(connection, overview)));
    place("trouble").hidden = true;
  } catch (error) {
    place("trouble").textContent = reason(error);
    place("trouble").hidden = false;
  }
  document.documentElement.dataset.shown = "yes";
}

async function showReady() {
  const chip = place("ready");
  try {
    const answer = await fetch("/readyz", { cache: "no-store" });
    chip.className = `chip ${answer.ok ? "good" : "warn"}`;
    say(chip, (await answer.text()).trim());
  } catch {
    chip.className = "chip bad";
    say(chip, "no answer");
  }
}

/** Only what is new is announced. */
function say(chip, text) {
  if (chip.textContent !== text) chip.textContent = text;
}

async function showConfiguration() {
  if (!place("config").open) return;
  try {
    place("config-text").textContent = await (await ask("/config")).text();
  } catch (error) {
    place("config-text").textContent = reason(error);
  }
}
