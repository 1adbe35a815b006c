// A recording: the video beside what was seen and typed, each showing where the other is.
import { ask, el, svg, signed, ready } from "./dom.js";
import { follow } from "./jobs.js";
import { Screen } from "./video.js";

const root = document.querySelector("#recording");
const api = root.dataset.api;
const at = (name) => root.querySelector(`[data-at="${name}"]`);
const turns = [...root.querySelectorAll(".turns > li")];
const times = turns.map((turn) => Number(turn.dataset.time ?? "NaN"));
const plot = root.querySelector(".progress-plot");
let now = null;
let last = 1;

function mark(time) {
  let index = times.findIndex((t) => t > time + 0.05);
  index = (index < 0 ? turns.length : index) - 1;
  const current = turns[Math.max(0, index)];
  if (current && !current.classList.contains("now")) {
    root.querySelector(".turns > .now")?.classList.remove("now");
    current.classList.add("now");
    const list = at("turns");
    list.scrollTop = current.offsetTop - list.offsetTop - list.clientHeight / 3;
  }
  const x = (time / last) * 1000;
  now?.setAttribute("x1", x);
  now?.setAttribute("x2", x);
}

if (root.dataset.video === "yes") {
  const screen = new Screen(at("screen"), api, Number(root.dataset.duration) || null);
  screen.onTime(mark);
  for (const button of root.querySelectorAll(".seek")) button.addEventListener("click", () => screen.seek(Number(button.dataset.time)));
  window.recordingScreen = screen;
}

async function drawProgress() {
  const model = root.querySelector("#model");
  if (!model || !plot) return;
  const found = await ask(`${api}/progress?model=${encodeURIComponent(model.value)}`);
  const values = found.points.map(([, v]) => v);
  last = Math.max(1, Number(root.dataset.duration) || 0, ...found.points.map(([t]) => t));
  const high = Math.max(0.1, ...values), low = Math.min(0, ...values);
  const y = (v) => 56 - ((v - low) / (high - low)) * 52;
  now = svg("line", { class: "now", x1: 0, x2: 0, y1: 0, y2: 60 });
  plot.replaceChildren(
    svg("polyline", { class: "curve", points: found.points.map(([t, v]) => `${((t / last) * 1000).toFixed(1)},${y(v).toFixed(1)}`).join(" ") }), now);
  found.values.forEach((value, i) => {
    const place = root.querySelector(`[data-value="${i}"]`);
    if (place) place.textContent = signed(value - (i ? found.values[i - 1] : 0));
  });
}
root.querySelector("#model")?.addEventListener("change", () => drawProgress().catch(() => {}));
drawProgress().catch(() => {});

root.querySelector('[data-do="film"]')?.addEventListener("click", async (event) => {
  event.target.disabled = true;
  try { await follow(await ask(`${api}/film`, {}), at("job"), { go: true }); } catch (error) { at("job").replaceChildren(el("span.bad-ink", {}, error.message)); }
  event.target.disabled = false;
});

root.querySelector('[data-do="watch"]')?.addEventListener("click", async (event) => {
  event.target.disabled = true;
  try {
    const environment = root.querySelector("#environment")?.value;
    const effort = root.querySelector("#effort"), others = root.querySelector("#others");
    const asked = { ...(environment && { environment }), ...(effort && { effort: Number(effort.value) }), ...(others && { others: others.checked }) };
    const job = await ask(`${api}/watch`, asked);
    await follow(job, at("job"), { go: true });
  } catch (error) {
    at("job").replaceChildren(el("span.bad-ink", {}, error.message));
  }
  event.target.disabled = false;
});
ready();
