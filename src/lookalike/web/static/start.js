// Starts a run, or a council with a person in it.
import { ask, el, ready } from "./dom.js";

const root = document.querySelector("#start");
const at = (name) => root.querySelector(`[data-at="${name}"]`);
const environment = root.dataset.environment;
const model = root.querySelector("#model");
const chosen = (name) => [...root.querySelectorAll(`input[name="${name}"]:checked`)].map((box) => box.value);

function fit() {
  for (const box of root.querySelectorAll('[data-expert="yes"]')) {
    box.disabled = !model.value;
    if (!model.value) box.checked = false;
  }
}
model.addEventListener("change", fit);
fit();

root.querySelector('[data-do="run"]')?.addEventListener("click", async (event) => {
  event.target.disabled = true;
  const place = at("state");
  try {
    const job = await ask("/api/start", {
      environment, reward_model: model.value || null, goals: chosen("goals"), conditions: chosen("conditions"), seeds: root.querySelector("#seeds").value,
    });
    place.replaceChildren("Starting: ", el("code", {}, job.command));
    for (;;) {
      if ((await ask(`/api/runs/${job.run}/there`)).there) { location.assign(`/runs/${job.run}`); return; }
      const now = await ask(`/api/jobs/${job.key}`);
      if (now.state === "failed") throw new Error(now.words);
      await new Promise((done) => setTimeout(done, 500));
    }
  } catch (error) { place.replaceChildren(el("span.bad-ink", {}, error.message)); }
  event.target.disabled = false;
});

root.querySelector('[data-do="along"]').addEventListener("click", async (event) => {
  event.target.disabled = true;
  try {
    const council = await ask("/api/councils", {
      environment, goal: root.querySelector("#along-goal").value, seed: Number(root.querySelector("#along-seed").value),
      members: root.querySelector("#along-members").value, reward_model: model.value || null, recommendation: root.querySelector("#along-recommend").checked,
    });
    location.assign(`/councils/${council.key}`);
  } catch (error) { at("along-state").textContent = error.message; event.target.disabled = false; }
});
ready();
