// A reward model: evidence clips, and verdicts of a stored episode with parts switched off.
import { ask, el, svg, worth, signed, clock, ready } from "./dom.js";
import { Screen } from "./video.js";

const box = document.querySelector("#clip");
const part = (name) => box.querySelector(`[data-clip="${name}"]`);
let screen = null, playing = null, opener = null;

for (const button of document.querySelectorAll(".clip")) {
  button.addEventListener("click", () => {
    const { recording, start, end } = button.dataset;
    box.hidden = false;
    opener = button;
    if (playing !== recording) {
      screen?.pause();
      screen = new Screen(part("screen"), `/api/recordings/${recording}`, null);
      playing = recording;
      window.clipScreen = screen;
    }
    const row = button.closest("tr");
    part("title").textContent = row?.querySelector("th bdi")?.textContent ?? "Evidence";
    part("time").textContent = `${clock(Number(start))} to ${clock(Number(end))}`;
    screen.seek(Number(start), Number(end) + 0.5);
  });
}
part("close").addEventListener("click", () => { screen?.pause(); box.hidden = true; opener?.focus(); });

const form = document.querySelector("#try");
const run = form.querySelector("#try-run"), episode = form.querySelector("#try-episode");
const switches = [...document.querySelectorAll(".switch")];
let asked = 0;

async function episodes() {
  const found = await ask(`/api/runs/${run.value}/episodes`);
  episode.replaceChildren(...found.map((e) => el("option", { value: e.number }, e.name)));
  await compute();
}

async function compute() {
  if (!run || episode.value === "") return;
  const mine = ++asked;
  const without = switches.filter((box) => !box.checked).map((box) => box.dataset.component);
  const words = form.querySelector(".verdict-words");
  words.textContent = "Computing …";
  let found;
  try { found = await ask(form.dataset.api, { run: run.value, episode: Number(episode.value), without }); } catch (error) {
    if (mine === asked) words.replaceChildren(el("span.bad-ink", {}, error.message));
    return;
  }
  if (mine !== asked) return;
  const off = without.length ? `${without.length} switched off: ${found.changed} of ${found.steps.length} verdicts change` : "All parts are on";
  words.textContent = `${off}. Sum: ${signed(found.sum_stored)} stored, ${signed(found.sum_whole)} with all on, ${signed(found.sum_now)} now.${found.note ? ` ${found.note}` : ""}`;
  draw(found.steps);
  form.querySelector(".verdicts tbody").replaceChildren(...found.steps.map((s) => el(s.whole === s.now ? "tr" : "tr.changed", {},
    el("td.num", {}, el("a", { href: `/runs/${run.value}/episodes/${episode.value}#place=${s.place}` }, s.step)), el("td", {}, el("bdi", {}, s.decision ?? "–")),
    el("td.num", {}, s.stored === null ? "–" : worth(s.stored)), el("td.num", {}, worth(s.whole)), el("td.num", {}, worth(s.now)),
    el("td", {}, s.components.map(([name, v]) => `${name} ${signed(v)}`).join(", ")))));
}

function draw(steps) {
  const plot = form.querySelector(".verdict-plot");
  const sums = (name) => steps.reduce((all, s) => [...all, (all.at(-1) ?? 0) + s[name]], []);
  const whole = sums("whole"), now = sums("now");
  const high = Math.max(0.1, ...whole, ...now), low = Math.min(0, ...whole, ...now);
  const points = (values) => values.map((v, i) => `${((i / Math.max(1, values.length - 1)) * 1000).toFixed(1)},${(56 - ((v - low) / (high - low)) * 52).toFixed(1)}`).join(" ");
  plot.replaceChildren(svg("polyline", { class: "curve faint", points: points(whole) }), svg("polyline", { class: "curve", points: points(now) }));
}

ready();
if (run) {
  let timer = null;
  run.addEventListener("change", () => episodes().catch(() => {}));
  episode.addEventListener("change", compute);
  for (const box of switches) box.addEventListener("change", () => { clearTimeout(timer); timer = setTimeout(compute, 60); });
  form.querySelector('[data-all="on"]').addEventListener("click", () => { for (const box of switches) box.checked = true; compute(); });
  episodes().catch((error) => { form.querySelector(".verdict-words").textContent = error.message; });
} else for (const box of switches) box.disabled = true;
