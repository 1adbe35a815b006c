// A game played by keyboard; the server writes it down as it is played.
import { ask, el } from "./dom.js";
import { follow } from "./jobs.js";

const root = document.querySelector("#game");
const at = (name) => root.querySelector(`[data-at="${name}"]`);
const setup = root.querySelector(".setup"), table = root.querySelector(".table"), saved = root.querySelector(".saved");
const input = root.querySelector("#command");
const history = [];
let game = null, began = null, past = 0, video = null, recording = null;

function show(state) {
  const log = at("log");
  for (const turn of state.turns) {
    if (turn.command !== null) log.append(el("p.typed", {}, "> ", el("bdi", {}, turn.command)));
    log.append(el("div.said", {}, turn.text));
  }
  log.scrollTop = log.scrollHeight;
  const score = state.score === null ? "" : `, ${state.score} points`;
  at("state").textContent = state.ended ? `The game is over after ${state.count - 1} commands${score}.` : `${state.count - 1} commands${score}`;
  at("listed").hidden = !state.actions.length;
  at("buttons").replaceChildren(...state.actions.map((a) => el("button", { type: "button", onclick: () => send(a) }, a)));
  root.querySelector("#actions").replaceChildren(...state.actions.map((a) => el("option", { value: a })));
  input.disabled = state.ended;
  if (state.ended) root.querySelector('[data-do="finish"]').focus(); else input.focus();
}

setup.addEventListener("submit", async (event) => {
  event.preventDefault();
  at("trouble").textContent = "";
  const button = setup.querySelector("button");
  button.disabled = true;
  try {
    const fields = new FormData(setup);
    const state = await ask("/api/games", { environment: fields.get("environment"), seed: Number(fields.get("seed")), licence: fields.get("licence") });
    game = state.key;
    setup.hidden = true;
    table.hidden = false;
    at("how").textContent = state.how_to_play;
    at("log").replaceChildren();
    show(state);
  } catch (error) { at("trouble").textContent = error.message; }
  button.disabled = false;
});

async function send(command) {
  at("problem").textContent = "";
  input.readOnly = true;
  try {
    show(await ask(`/api/games/${game}/command`, { command, typing_s: began === null ? 0 : (performance.now() - began) / 1000 }));
    history.push(command);
    past = history.length;
    input.value = "";
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
  let found;
  try { found = await ask(`/api/games/${game}/finish`, {}); } catch (error) { at("problem").textContent = error.message; return; }
  table.hidden = true;
  if (!found.kept) { setup.hidden = false; at("trouble").textContent = "Nothing was played, so nothing was kept."; return; }
  saved.hidden = false;
  ({ video, recording } = found);
  at("saved").textContent = `${found.commands} commands are saved as ${found.file}.`;
  root.querySelector('[data-do="watch"]').focus();
  const job = await follow(await ask(`/api/jobs/${found.job}`), at("job"));
  if (job.state === "finished") recording = video;
  root.querySelector('[data-do="see"]').href = `/recordings/${recording}`;
});

root.querySelector('[data-do="watch"]').addEventListener("click", async (event) => {
  event.target.disabled = true;
  const place = el("p", { role: "status" });
  event.target.closest("p").after(place);
  for (const key of [recording, video, recording]) {
    try { // once its video is drawn, a recording is listed under the video's key
      await follow(await ask(`/api/recordings/${key}/watch`, {}), place, { go: true });
      return;
    } catch (error) { place.textContent = error.message; await new Promise((done) => setTimeout(done, 600)); }
  }
  event.target.disabled = false;
});

root.querySelector('[data-do="again"]').addEventListener("click", () => location.reload());
