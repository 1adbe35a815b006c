// The replay in a page that was written to a file: everything it shows stands in the page.
const held = JSON.parse(document.querySelector("#data").textContent);
const choice = document.querySelector("#episode");
const place = document.querySelector("#replay");

function sourceOf(episode) {
  return {
    total: episode.items.length,
    ended: true,
    page: async (start) => ({ items: episode.items.slice(start, start + PAGE), total: episode.items.length, ended: true }),
    outline: async () => episode.outline,
    divergence: async () => ({ place: episode.divergence, why: episode.divergence === null ? "This run has no recording to compare with." : null }),
    frame: (digest) => held.pictures[digest] ?? "data:,",
    placeOf: async (step, world) => {
      const found = episode.items.find((i) => i.kind === "step" && i.step === step && (!world || i.world === world));
      return found ? found.place : null;
    },
  };
}

if (choice) {
  place.querySelector('[data-do="link"]').remove();
  let shown = new Replay(place, sourceOf(held.episodes[0]));
  shown.start();
  choice.disabled = false;
  choice.addEventListener("change", () => {
    shown.stop();
    shown.source = sourceOf(held.episodes[Number(choice.value)]);
    shown.pages.clear();
    shown.measure(shown.source.total);
    shown.source.outline().then((outline) => shown.drawOutline(outline));
    shown.show(Math.min(1, shown.total - 1));
  });
}
