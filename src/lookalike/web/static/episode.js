// The replay of an episode, fed by the server.
import { ask } from "./dom.js";
import { Replay } from "./replay.js";

const root = document.querySelector("#replay");
const api = root.dataset.api;

const source = {
  total: Number(root.dataset.total),
  ended: root.dataset.ended === "yes",
  page: (start) => ask(`${api}/steps?start=${start}`),
  outline: () => ask(`${api}/outline`),
  divergence: () => ask(`${api}/divergence`),
  frame: (digest) => `${root.dataset.frames}/${encodeURIComponent(digest)}`,
  placeOf: async (step, world) => {
    const query = new URLSearchParams({ step });
    if (world) query.set("world", world);
    return (await ask(`${api}/place?${query}`)).place;
  },
};

window.replay = new Replay(root, source);
const divergence = root.querySelector('[data-do="divergence"]');
if (root.dataset.recording !== "yes") {
  divergence.disabled = true;
  divergence.title = "This run's folder has no recording to compare with";
}
window.replay.start();
