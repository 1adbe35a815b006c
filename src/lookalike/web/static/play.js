// A game played by keyboard; the server writes it down as it is played.
import { ask, el, ready } from "./dom.js";
import { follow } from "./jobs.js";
import { Keys, actionButtons } from "./keys.js";

const root = document.querySelector("#game");
const at = (name) => root.querySelector(`[data-at="${name}"]`);
const setup = root.querySelector(".setup"), table = root.querySelector(".table"), saved = root.querySelector(".saved");
const input = root.querySelector("#command"), screen = root.querySelector(".screenplay"), pace = root.querySelector("#pace");
const history = [];
let game = null, began = null, past = 0, video = null, recording = null;
let keys = null, keyNames = {}, busy = false, next = null, clock = null, over = false;

function show(state) {
  const log = at("log");
  over = state.ended;
  for (const turn of state.turns) {
    if (state.frame !== null) { at("words").textContent = turn.text; continue; }
    if (turn.command !== null) log.append(el("p.typed", {}, "> ", el("bdi", {}, turn.command)));
    log.append(el("div.said", {}, turn.text));
  }
  log.scrollTop = log.scrollHeight;
  if (state.frame !== null) at("frame").src = `/api/games/${game}/frame?n=${state.frame}`;
  const what = state.frame === null ? "commands" : "actions";
  const score = state.score === null ? "" : `, ${state.score} points`;
  at("state").textContent = state.ended ? `The game is over after ${state.count - 1} ${what}${score}.` : `${state.count - 1} ${what}${score}`;
  if (keys === null) {
    at("listed").hidden = !state.actions.length;
    at("buttons").replaceChildren(...state.actions.map((a) => el("button", { type: "button", onclick: () => send(a) }, a)));
    root.querySelector("#actions").replaceChildren(...state.actions.map((a) => el("option", { value: a })));
    input.disabled = state.ended;
  }
  if (state.ended) { setClock(0); root.querySelector('[data-do="finish"]').focus(); }
}

setup.addEventListener("submit", async (event) => {
  event.preventDefault();
  at("trouble").textContent = "";
  const button = setup.querySelector("button");
  button.disabled = true;
  try {
    const fields = new FormData(setup);
    const environment = fields.get("other").trim() || fields.get("environment");
    const state = await ask("/api/games", { environment, seed: Number(fields.get("seed")), licence: fields.get("licence") });
    game = state.key;
    setup.hidden = true;
    table.hidden = false;
    at("how").textContent = state.how_to_play;
    at("log").replaceChildren();
    if (state.frame !== null) openScreen(state);
    show(state);
    (state.frame === null ? input : screen).focus();
  } catch (error) { at("trouble").textContent = error.message; }
  button.disabled = false;
});

function openScreen(state) {
  keyNames = state.keys ?? {};
  keys = new Keys(screen, keyNames, meant);
  table.dataset.play = "screen";
  pace.querySelectorAll("option:not([value='0'])").forEach((option) => { option.disabled = keys.idle === null; });
  at("listed").hidden = !state.actions.length;
  at("listed").open = true;
  at("buttons").replaceChildren(...actionButtons(state.actions, keyNames, (action) => { meant(action); screen.focus(); }));
}

// An action that is meant while another is on its way waits; only the latest of them does.
async function meant(action) {
  if (over) return;
  if (busy) { next = action; return; }
  busy = true;
  at("problem").textContent = "";
  try { show(await ask(`/api/games/${game}/command`, { command: action })); } catch (error) { at("problem").textContent = error.message; setClock(0); }
  busy = false;
  if (next !== null) { const waiting = next; next = null; meant(waiting); }
}

function setClock(each) {
  clearInterval(clock);
  clock = null;
  if (keys === null) return;
  keys.timed = each > 0;
  if (!each) { pace.value = "0"; return; }
  clock = setInterval(() => {
    const action = keys.ticked();
    if (action !== null && !busy && document.activeElement === screen && !document.hidden) meant(action);
  }, each);
}
pace.addEventListener("change", () => { setClock(Number(pace.value)); screen.focus(); });

async function send(command) {
  at("problem").textContent = "";
  input.readOnly = true;
  try {
    show(await ask(`/api/games/${game}/command`, { command, typing_s: began === null ? 0 : (performance.now() - began) / 1000 }));
    history.push(command);
    past = history.length;
    input.value = "";
    if (!over) input.focus();
  } catch (error) { at("problem").textContent = error.message; }
  input.readOnly = false;
  began = null;
}

root.querySelector(".command").addEventListener("submit", (event) => {
  event.preventDefault();
  if (input.value.trim()) send(input.value);
});

input.addEventListener("keydown", (event) => {
  if (began === null && event.key.length === 1) began = performance.now();
  if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
  past = Math.max(0, Math.min(history.length, past + (event.key === "ArrowUp" ? -1 : 1)));
  input.value = history[past] ?? "";
  event.preventDefault();
});

root.querySelector('[data-do="finish"]').addEventListener("click", async () => {
  setClock(0);
  let found;
  try { found = await ask(`/api/games/${game}/finish`, {}); } catch (error) { at("problem").textContent = error.message; return; }
  table.hidden = true;
  if (!found.kept) { setup.hidden = false; at("trouble").textContent = "Nothing was played, so nothing was kept."; return; }
  saved.hidden = false;
  ({ video, recording } = found);
  at("saved").textContent = `${found.commands} ${found.on_screen ? "actions" : "commands"} are saved as ${found.file}.`;
  const watch = root.querySelector('[data-do="watch"]');
  watch.disabled = found.on_screen; // what is played on the screen is watched as a film, which is made first
  if (!watch.disabled) watch.focus();
  const job = await follow(await ask(`/api/jobs/${found.job}`), at("job"));
  if (job.state === "finished") recording = video;
  watch.disabled = false;
  root.querySelector('[data-do="see"]').href = `/recordings/${recording}`;
});

root.querySelector('[data-do="watch"]').addEventListener("click", async (event) => {
  event.target.disabled = true;
  const place = el("p", { role: "status" });
  event.target.closest("p").after(place);
  for (const key of [recording, video, recording]) {
    let job;
    try { // once its video is made, a recording is listed under the video's key
      job = await ask(`/api/recordings/${key}/watch`, {});
    } catch (error) { place.textContent = error.message; await new Promise((done) => setTimeout(done, 600)); continue; }
    await follow(job, place, { go: true }).catch((error) => { place.textContent = error.message; });
    break;
  }
  event.target.disabled = false;
});

root.querySelector('[data-do="again"]').addEventListener("click", () => location.reload());
ready();
