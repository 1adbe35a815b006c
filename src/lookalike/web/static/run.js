// A run that goes on: a seat in its councils, and its end where it was started here.
import { ask, ready } from "./dom.js";

const at = (name) => document.querySelector(`[data-at="${name}"]`);

document.querySelector('[data-do="seat"]')?.addEventListener("click", async ({ target }) => {
  target.disabled = true;
  try {
    location.assign(`/councils/${(await ask(target.dataset.api, {})).key}`);
  } catch (error) {
    at("seat-state").textContent = error.message;
    target.disabled = false;
  }
});

document.querySelector('[data-do="stop"]')?.addEventListener("click", async ({ target }) => {
  target.disabled = true;
  try {
    await ask(target.dataset.api, {});
    at("stop-state").textContent = "It stops after the step under way.";
  } catch (error) {
    at("stop-state").textContent = error.message;
    target.disabled = false;
  }
});
ready();
