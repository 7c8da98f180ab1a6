// Shows the demo's media through each connection and checks what a browser can check.
// The results stand in window.gsgateChecks = {done, results: [{name, ok, detail}]}.

const PATIENCE = 15_000;
const results = [];
window.gsgateChecks = { done: false, results };

const ABOUT = {
  proxy: "The gateway streams every byte. Images, canvas, fetch and seeking work, and the bucket is never seen.",
  signed: "The gateway answers with a redirect to a signed URL. Good for <img>, <audio> and <video>; scripts cannot read the bytes, because the bucket has no CORS.",
  auto: "The gateway decides per request: what a script asks for is streamed, a large file for a plain <video> is redirected.",
};

const demo = await (await fetch("demo.json")).json();
const sampleOf = (type) => demo.samples.find((sample) => sample.type.startsWith(type));
const images = demo.samples.filter((sample) => /^image\/(jpeg|png)$/.test(sample.type));

document.getElementById("page-origin").textContent = location.origin;
document.getElementById("gateway-origin").textContent = new URL(demo.gateway).origin;

await Promise.all(demo.connections.map(show));
finish();

/** Builds one connection's section and runs its checks. */
async function show(connection) {
  const url = (name) => `${demo.gateway}/${connection}/${name.split("/").map(encodeURIComponent).join("/")}`;
  const view = section(connection, url);
  const scope = { connection, url, view, readable: connection !== "signed" };
  const checks = [...imageChecks(scope), ...playerChecks(scope), ...(scope.readable ? fetchChecks(scope) : redirectChecks(scope))];
  const counts = { good: 0, bad: 0 };
  await Promise.all(checks.map(([name, run]) => perform(scope, counts, name, run)));
  tell(view.querySelector(".tally"), counts);
}

function section(connection, url) {
  const view = document.getElementById("connection").content.cloneNode(true).firstElementChild;
  view.id = connection;
  view.querySelector("h2").textContent = connection;
  view.querySelector(".about").textContent = ABOUT[connection] ?? "";
  view.querySelector(".tally").textContent = "Checking…";
  for (const sample of demo.samples.filter((sample) => !images.includes(sample))) {
    const item = view.querySelector(".links").appendChild(document.createElement("li"));
    const link = item.appendChild(document.createElement("a"));
    Object.assign(link, { href: url(sample.name), textContent: sample.name, target: "_blank", rel: "noreferrer" });
  }
  document.getElementById("connections").append(view);
  const jump = document.getElementById("contents").appendChild(document.createElement("a"));
  Object.assign(jump, { href: `#${connection}`, textContent: connection });
  return view;
}

async function perform({ connection, view }, counts, name, run) {
  const line = view.querySelector(".checks").appendChild(document.createElement("li"));
  const word = line.appendChild(document.createElement("b"));
  word.textContent = "… wait";
  const text = line.appendChild(document.createElement("span"));
  text.textContent = name;
  let ok = true;
  let detail;
  try {
    detail = await within(run());
  } catch (error) {
    ok = false;
    detail = error.message;
  }
  counts[ok ? "good" : "bad"] += 1;
  line.className = ok ? "good" : "bad";
  word.textContent = ok ? "✓ pass" : "✗ fail";
  if (detail) text.appendChild(document.createElement("small")).textContent = detail;
  results.push({ name: `${connection}: ${name}`, ok, detail: detail ?? "" });
}

function finish() {
  const bad = results.filter((result) => !result.ok).length;
  tell(document.getElementById("verdict"), { good: results.length - bad, bad });
  window.gsgateChecks.done = true;
}

function tell(place, { good, bad }) {
  place.classList.add(bad ? "bad" : "good");
  place.textContent = bad ? `✗ ${bad} of ${good + bad} checks failed` : `✓ All ${good} checks passed`;
}

// ---- images -------------------------------------------------------------------------------------------------------

function imageChecks({ url, view, readable }) {
  const grid = view.querySelector(".images");
  return images.map((sample) => {
    const figure = grid.appendChild(document.createElement("figure"));
    const image = figure.appendChild(new Image());
    image.alt = sample.name;
    figure.appendChild(document.createElement("figcaption")).textContent = sample.name;
    if (readable) image.crossOrigin = "anonymous";
    const name = readable ? `image and its pixels: ${sample.name}` : `image: ${sample.name}`;
    return [name, async () => {
      try {
        await loaded(image, url(sample.name));
        if (readable) expect(colours(image) > 8, "more than 8 colours on the canvas", colours(image));
        return `${image.naturalWidth} × ${image.naturalHeight}`;
      } catch (error) {
        figure.className = "bad";
        throw error;
      }
    }];
  });
}

function loaded(image, address) {
  return new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () => reject(new Error(`The browser could not load the image${image.crossOrigin ? " with CORS" : ""}.`));
    image.src = address;
  });
}

/** How many different colours a coarse sample of the picture has; throws where the canvas is closed to scripts. */
function colours(picture) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 40];
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size;
}

// ---- video and sound ----------------------------------------------------------------------------------------------

function playerChecks({ url, view, readable }) {
  const player = (tag, type) => {
    const media = view.querySelector(tag);
    const sample = sampleOf(type);
    media.parentElement.querySelector("figcaption").textContent = sample.name;
    if (readable) media.crossOrigin = "anonymous";
    return [media, url(sample.name)];
  };
  const [video, film] = player("video", "video/");
  const [audio, tune] = player("audio", "audio/");
  return [
    [readable ? "video seeks, and its pixels can be read" : "video seeks", async () => {
      const place = await seek(video, film);
      expect(video.videoWidth > 0, "a picture", "no picture");
      if (readable) expect(colours(video) > 8, "more than 8 colours on the canvas", colours(video));
      return `${video.videoWidth} × ${video.videoHeight}, at ${place} s of ${video.duration.toFixed(1)} s`;
    }],
    ["sound seeks", async () => `at ${await seek(audio, tune)} s of ${audio.duration.toFixed(1)} s`],
  ];
}

/** Goes close to the end and says where it came to stand. */
async function seek(media, address) {
  const failed = new Promise((_, reject) => {
    media.onerror = () => reject(new Error(`The browser could not play it: ${media.error?.message || "no reason given"}`));
  });
  const event = (name) => Promise.race([new Promise((resolve) => media.addEventListener(name, resolve, { once: true })), failed]);
  const ready = event("loadedmetadata");
  media.src = address;
  await ready;
  const target = media.duration - 0.75;
  const there = event("seeked");
  media.currentTime = target;
  await there;
  if (media.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) await event("loadeddata");
  expect(Math.abs(media.currentTime - target) < 0.05, `to stand at ${target} s`, `${media.currentTime} s`);
  return media.currentTime.toFixed(2);
}

// ---- what scripts can fetch ---------------------------------------------------------------------------------------

function fetchChecks({ connection, url }) {
  const tune = sampleOf("audio/");
  const get = (sample, options) => fetch(url(sample.name), { cache: "no-store", ...options });
  const ranged = (range) => get(tune, { headers: { Range: range } });
  return [
    ["every object comes byte for byte", async () => {
      const plain = demo.samples.filter((sample) => !sample.encoding);
      for (const sample of plain) await sameBytes(sample, await get(sample));
      return `${plain.length} objects, compared by SHA-256`;
    }],
    ["a script can read the headers", async () => {
      const { headers } = await get(tune);
      const delivery = headers.get("x-gsgate-delivery");
      expect(/^proxy\b/.test(delivery ?? ""), "X-Gsgate-Delivery: proxy", delivery);
      expect(/^"[^"]+"$/.test(headers.get("etag") ?? ""), "a strong ETag", headers.get("etag"));
      expect(headers.get("accept-ranges") === "bytes", "Accept-Ranges: bytes", headers.get("accept-ranges"));
      expect(Number(headers.get("content-length")) === tune.size, `Content-Length: ${tune.size}`, headers.get("content-length"));
      return `X-Gsgate-Delivery: ${delivery}`;
    }],
    ["Range: first bytes", () => part(ranged("bytes=0-3"), "RIFF", 0)],
    ["Range: bytes in the middle", () => part(ranged("bytes=8-11"), "WAVE", 8)],
    ["Range: last bytes", async () => {
      const whole = await (await get(tune)).arrayBuffer();
      const answer = await ranged("bytes=-500");
      expect(answer.status === 206, "status 206", answer.status);
      contentRange(answer, tune.size - 500, tune.size - 1);
      expect(same(await answer.arrayBuffer(), whole.slice(-500)), "the last 500 bytes", "other bytes");
      return answer.headers.get("content-range");
    }],
    ["Range: beyond the end is refused", async () => {
      const answer = await ranged(`bytes=${tune.size}-`);
      expect(answer.status === 416, "status 416", answer.status);
      const range = answer.headers.get("content-range");
      expect(range === `bytes */${tune.size}`, `Content-Range: bytes */${tune.size}`, range);
      return range;
    }],
    ["If-None-Match: not sent again", async () => {
      const etag = (await get(tune, { method: "HEAD" })).headers.get("etag");
      const answer = await get(tune, { headers: { "If-None-Match": etag } });
      expect(answer.status === 304, "status 304", answer.status);
      return `304 for ${etag}`;
    }],
    ["HEAD says what GET says", async () => {
      const [head, full] = [await get(tune, { method: "HEAD" }), await get(tune)];
      expect(head.status === 200, "status 200", head.status);
      for (const name of ["content-length", "content-type", "etag", "last-modified", "accept-ranges", "cache-control"]) {
        expect(head.headers.get(name) === full.headers.get(name), `${name}: ${full.headers.get(name)}`, head.headers.get(name));
      }
      expect((await head.arrayBuffer()).byteLength === 0, "no body", "a body");
    }],
    ["JSON stored compressed can be read", async () => {
      const { boxes } = await (await get(sampleOf("application/json"))).json();
      expect(boxes.length === 72, "72 boxes", boxes.length);
      return `${boxes.length} boxes`;
    }],
    ["text keeps its umlauts", async () => {
      const text = await (await get(sampleOf("text/plain"))).text();
      expect(text.includes("Größe, Höhe, Übergänge") && text.includes("🚦"), "Größe, Höhe, Übergänge, 🚦", text.slice(0, 40));
    }],
    ["PDF has its type and no scripts", async () => {
      const { headers } = await get(sampleOf("application/pdf"));
      expect(headers.get("content-type") === "application/pdf", "application/pdf", headers.get("content-type"));
      return sandboxed(headers);
    }],
    ["SVG has its type and no scripts", async () => {
      const { headers } = await get(sampleOf("image/svg"));
      expect(headers.get("content-type") === "image/svg+xml", "image/svg+xml", headers.get("content-type"));
      return sandboxed(headers);
    }],
    ["a script inside an SVG does not run", () => scriptStaysQuiet(url(sampleOf("image/svg").name))],
    ["a missing object is explained", async () => {
      const answer = await fetch(`${demo.gateway}/${connection}/no/such object`, { cache: "no-store" });
      expect(answer.status === 404, "status 404", answer.status);
      const { error } = await answer.json();
      expect(error?.code && error.message && error.request_id, "code, message and request_id", JSON.stringify(error));
      return `${error.code}: ${error.message}`;
    }],
  ];
}

async function sameBytes(sample, answer) {
  expect(answer.status === 200, `status 200 for ${sample.name}`, answer.status);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await answer.arrayBuffer()));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  expect(hex === sample.sha256, `the bytes of ${sample.name}`, "other bytes");
}

async function part(asked, text, first) {
  const answer = await asked;
  expect(answer.status === 206, "status 206", answer.status);
  const came = await answer.text();
  expect(came === text, text, came.slice(0, 20));
  contentRange(answer, first, first + text.length - 1);
  return answer.headers.get("content-range");
}

function contentRange(answer, first, last) {
  const range = answer.headers.get("content-range");
  const wanted = `bytes ${first}-${last}/${sampleOf("audio/").size}`;
  expect(range === wanted, `Content-Range: ${wanted}`, range);
}

function same(left, right) {
  const [a, b] = [new Uint8Array(left), new Uint8Array(right)];
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function sandboxed(headers) {
  const policy = headers.get("content-security-policy");
  expect(/(^|[;\s])sandbox(;|$)/.test(policy ?? ""), "Content-Security-Policy: sandbox", policy);
  return `Content-Security-Policy: ${policy}`;
}

/** Opens the drawing in a frame; its script would post a message to this page while the frame loads. */
async function scriptStaysQuiet(address) {
  const frame = document.createElement("iframe");
  frame.className = "probe";
  frame.title = "SVG with a script";
  frame.tabIndex = -1;
  let ran = false;
  const listen = (event) => { ran ||= event.source === frame.contentWindow && event.data?.gsgate === "svg script ran"; };
  window.addEventListener("message", listen);
  try {
    await new Promise((resolve) => {
      frame.onload = resolve;
      frame.src = address;
      document.body.append(frame);
    });
    await new Promise((resolve) => setTimeout(resolve, 400));
  } finally {
    window.removeEventListener("message", listen);
    frame.remove();
  }
  expect(!ran, "no message from the frame", "the script ran");
}

// ---- what redirects allow and forbid ------------------------------------------------------------------------------

function redirectChecks({ url }) {
  const tune = sampleOf("audio/");
  const picture = images[0];
  return [
    ["the answer is a redirect", async () => {
      const answer = await fetch(url(picture.name), { cache: "no-store", redirect: "manual" });
      expect(answer.type === "opaqueredirect", "a redirect", `${answer.type}, status ${answer.status}`);
    }],
    ["HEAD is answered by the gateway itself", async () => {
      const { status, headers } = await fetch(url(tune.name), { method: "HEAD", cache: "no-store" });
      expect(status === 200, "status 200", status);
      expect(Number(headers.get("content-length")) === tune.size, `Content-Length: ${tune.size}`, headers.get("content-length"));
      return `${tune.size} bytes`;
    }],
    ["scripts cannot read the pixels: the bucket has no CORS", async () => {
      const image = new Image();
      await loaded(image, url(picture.name));
      expect(closed(() => colours(image)), "a closed canvas", "readable pixels");
      return "as expected; use auto or proxy for canvas tools";
    }],
    ["scripts cannot fetch the bytes: the bucket has no CORS", async () => {
      const came = await fetch(url(picture.name), { cache: "no-store" }).then(() => true, () => false);
      expect(!came, "a refusal by the browser", "an answer");
      return "as expected; use auto or proxy for fetch";
    }],
  ];
}

function closed(read) {
  try {
    read();
    return false;
  } catch (error) {
    return error.name === "SecurityError";
  }
}

// ---- small words --------------------------------------------------------------------------------------------------

function expect(holds, wanted, came) {
  if (!holds) throw new Error(`Expected ${wanted}; got ${came ?? "nothing"}.`);
}

function within(work) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`No answer within ${PATIENCE / 1000} s.`)), PATIENCE));
  return Promise.race([work, late]);
}
