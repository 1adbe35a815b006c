// A seat in the councils of a run that goes on.
import { ask, ready } from "./dom.js";

const button = document.querySelector('[data-do="seat"]');
button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    location.assign(`/councils/${(await ask(button.dataset.api, {})).key}`);
  } catch (error) {
    document.querySelector('[data-at="seat-state"]').textContent = error.message;
    button.disabled = false;
  }
});
ready();
