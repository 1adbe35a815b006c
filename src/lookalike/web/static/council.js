// The council as its human member sees it: asked first, told the others' proposals after.
import { ask, el, worth, ready } from "./dom.js";
import { actionButtons } from "./keys.js";

const root = document.querySelector("#council");
const api = root.dataset.api;
const at = (name) => root.querySelector(`[data-at="${name}"]`);
const form = root.querySelector(".command"), input = root.querySelector("#command"), button = form.querySelector("button");
let version = -1;

function turn(state) {
  const mine = state.state === "your turn";
  input.disabled = !mine;
  button.disabled = !mine;
  const s = state.situation;
  if (mine) {
    at("goal").textContent = s.goal;
    at("observation").textContent = s.observation;
    at("observation").hidden = !s.observation && s.picture;
    at("screen").hidden = !s.picture;
    if (s.picture) at("frame").src = `${api}/frame?n=${state.version}`;
    at("recommended").hidden = !s.recommended.length;
    at("recommended").textContent = `The expert recommends: ${s.recommended.join(", ")}`;
    at("listed").hidden = !s.actions.length;
    at("buttons").replaceChildren(...actionButtons(s.actions, {}, propose));
    if (s.picture) at("listed").open = true;
    root.querySelector("#actions").replaceChildren(...s.actions.map((a) => el("option", { value: a })));
    at("state").textContent = `Your turn: step ${s.step}, ${s.steps_left} left.`;
    if (!document.activeElement || document.activeElement === document.body) input.focus();
  } else {
    at("buttons").replaceChildren();
    at("listed").hidden = true;
    at("state").textContent = { waiting: "You have a seat. The run is at an episode; you are asked from its next one on.", beginning: "The council gathers …", thinking: "The others think …" }[state.state] ?? "";
  }
  if (state.state === "ended" || state.state === "failed") {
    root.querySelector('[data-do="leave"]').hidden = true;
    at("state").replaceChildren(el(state.state === "failed" ? "strong.bad-ink" : "strong", {}, state.words), " ", el("a", { href: state.address }, "See the run: who was right"));
  }
}

function last(item, mine) {
  if (!item || item.kind !== "step") return;
  at("none").hidden = true;
  const best = Math.max(...item.proposals.map((p) => p.verdict?.value ?? -9));
  const list = item.proposals.map((p) => el(`div.proposal${p.decided ? ".decided" : ""}`, {}, el("span.role", {}, p.role),
    el("span.action", {}, p.action ?? "no action", p.decided ? [" ", el("span.badge.good", {}, "decided")] : null,
      p.verdict && p.verdict.value === best && best > 0 ? [" ", el("span.badge.good", {}, "right")] : null),
    el("span", {}, p.verdict ? worth(p.verdict.value) : null)));
  const fell = item.verdict ? el("p", {}, "Reward: ", worth(item.verdict.value), ` ${item.verdict.feedback}`) : null;
  at("last").replaceChildren(el("p", {}, `Step ${item.step}: `, el("span.action", {}, item.decision ?? "nothing")), ...list,
    ...[fell].filter(Boolean), ...(item.next_observation && !mine ? [el("h3", {}, "What followed"), el("div.observation", {}, item.next_observation)] : []));
}

async function propose(action) {
  at("problem").textContent = "";
  try { show(await ask(`${api}/propose`, { action })); input.value = ""; } catch (error) { at("problem").textContent = error.message; }
}

function show(state) {
  if (state.version < version) return;
  version = state.version;
  turn(state);
  last(state.last, state.state === "your turn");
}

form.addEventListener("submit", (event) => { event.preventDefault(); if (input.value.trim()) propose(input.value); });
root.querySelector('[data-do="leave"]').addEventListener("click", () => ask(`${api}/leave`, {}).catch(() => {}));
ready();

for (let going = true, patience = 5; going;) {
  try {
    const state = await ask(`${api}?after=${version}`);
    if (state.version > version) show(state);
    going = state.state !== "ended" && state.state !== "failed";
    patience = 5;
  } catch (error) {
    at("state").textContent = error.message;
    going = --patience > 0;
    await new Promise((done) => setTimeout(done, 1000));
  }
}
