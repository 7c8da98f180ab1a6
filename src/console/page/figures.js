// Live figures: small plots, drawn from /metrics.

import { bytes, el, number, seconds } from "./build.js";

const EVERY = 2_000;
/** Samples that are kept: three minutes. */
const KEPT = 90;
/** Samples over which a latency is taken: a minute, since single ones are too few. */
const WINDOW = 30;
/** A plot of fewer samples is drawn as if there were so many, so that it grows from the right. */
const LEAST = 15;
const [WIDTH, HEIGHT] = [120, 32];
const SVG = "http://www.w3.org/2000/svg";

const TILES = [
  { id: "requests", label: "Requests", value: rate("requests"), text: (value) => `${number(value)}/s`, total: (last) => `${number(last.requests)} in all` },
  { id: "bytes", label: "Bytes sent", value: rate("sent"), text: (value) => `${bytes(value)}/s`, total: (last) => `${bytes(last.sent)} in all` },
  { id: "hits", label: "Cache hits", value: share("hits", "lookups"), text: (value) => `${Math.round(value * 100)} %`, total: (last) => `${number(last.hits)} of ${number(last.lookups)} look-ups` },
  { id: "errors", label: "Errors (5xx)", value: rate("errors"), text: (value) => `${number(value)}/s`, total: (last) => `${number(last.errors)} in all` },
  { id: "p50", label: "First byte, half", value: quantile(0.5), text: seconds, total: () => "p50 of the last minute" },
  { id: "p99", label: "First byte, slowest", value: quantile(0.99), text: seconds, total: () => "p99 of the last minute" },
];

/** Draws the tiles and keeps them up to date while the page is looked at. */
export function showFigures(place) {
  const samples = [];
  const tiles = TILES.map((tile) => ({ ...tile, ...view(tile) }));
  place.append(...tiles.map((tile) => tile.node));
  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/metrics", { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      samples.push(sample(await answer.text(), performance.now() / 1000));
      if (samples.length > KEPT + WINDOW) samples.shift();
      tiles.forEach((tile) => draw(tile, samples));
      place.dataset.looks = String(Number(place.dataset.looks ?? 0) + 1);
    } catch {
      place.dataset.stale = "yes";
      return;
    }
    delete place.dataset.stale;
  };
  look();
  setInterval(look, EVERY);
}

/** What the tiles need of a page of OpenMetrics. */
function sample(text, at) {
  const found = { at, requests: 0, sent: 0, hits: 0, lookups: 0, errors: 0, buckets: new Map() };
  for (const line of text.split("\n")) {
    const match = /^gsgate_(\w+?)(?:\{(.*)\})? ([^ ]+)/.exec(line);
    if (!match) continue;
    const [, name, labels = "", digits] = match;
    const value = Number(digits);
    const label = (key) => new RegExp(`(?:^|,)${key}="([^"]*)"`).exec(labels)?.[1];
    if (name === "requests_total") {
      found.requests += value;
      if (label("status") === "5xx") found.errors += value;
    } else if (name === "response_sent_bytes_total") {
      found.sent += value;
    } else if (name === "cache_lookups_total") {
      found.lookups += value;
      if (label("result") === "hit" || label("result") === "revalidated") found.hits += value;
    } else if (name === "request_first_byte_seconds_bucket") {
      const bound = Number((label("le") ?? "").replace("+Inf", "Infinity"));
      found.buckets.set(bound, (found.buckets.get(bound) ?? 0) + value);
    }
  }
  return found;
}

/** How fast a counter grew since the sample before; a counter that fell began anew. */
function rate(name) {
  return (samples, at) => at > 0 ? Math.max(0, samples[at][name] - samples[at - 1][name]) / (samples[at].at - samples[at - 1].at) : null;
}

function share(part, whole) {
  return (samples, at) => {
    const before = samples[Math.max(0, at - WINDOW)];
    const of = at > 0 ? samples[at][whole] - before[whole] : 0;
    return of > 0 ? (samples[at][part] - before[part]) / of : null;
  };
}

/** The latency below which this share of the requests stayed, between the bounds of the histogram. */
function quantile(wanted) {
  return (samples, at) => {
    if (at === 0) return null;
    const before = samples[Math.max(0, at - WINDOW)].buckets;
    const bounds = [...samples[at].buckets.keys()].sort((a, b) => a - b);
    const counts = bounds.map((bound) => samples[at].buckets.get(bound) - (before.get(bound) ?? 0));
    const all = counts.at(-1) ?? 0;
    if (!(all > 0)) return null;
    const place = counts.findIndex((count) => count >= wanted * all);
    const [low, below] = place > 0 ? [bounds[place - 1], counts[place - 1]] : [0, 0];
    if (!Number.isFinite(bounds[place])) return low;
    return low + (bounds[place] - low) * ((wanted * all - below) / (counts[place] - below));
  };
}

function view({ id, label }) {
  const big = el("strong", { class: "big" }, "–");
  const small = el("span", { class: "soft" }, "no traffic yet");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const [area, curve] = ["area", "curve"].map((name) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    svg.append(path);
    return path;
  });
  const node = el("div", { class: "tile", id: `figure-${id}`, role: "group", "aria-label": label }, el("span", { class: "label" }, label), big, small, svg);
  return { node, big, small, area, curve };
}

function draw(tile, samples) {
  const first = Math.max(0, samples.length - KEPT);
  const values = samples.slice(first).map((_, at) => tile.value(samples, first + at));
  const now = values.at(-1);
  tile.big.textContent = now === null ? "–" : tile.text(now);
  tile.small.textContent = tile.total(samples.at(-1));
  const top = Math.max(...values.filter((value) => value !== null), 0) || 1;
  const width = Math.max(values.length, LEAST);
  const points = values.flatMap((value, at) => value === null ? [] : [[(width - values.length + at) / (width - 1) * WIDTH, HEIGHT - 2 - value / top * (HEIGHT - 5)]]);
  const line = points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  tile.curve.setAttribute("d", line);
  tile.area.setAttribute("d", points.length > 1 ? `${line}L${points.at(-1)[0].toFixed(1)} ${HEIGHT}L${points[0][0].toFixed(1)} ${HEIGHT}Z` : "");
}
